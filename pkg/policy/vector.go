package policy

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"

// A vector is a 32-bit value as a function of the call: each bit, the least
// significant first, a Boolean function of the call's bits, or unknown.
type vector [32]bdd.Ref

// unknown is a bit whose function was too large to compute. It stands for any
// function at all; what does not depend on it remains exact.
const unknown = ^bdd.Ref(0)

// A value names a vector in a builder: a constant in the lower half if isConst
// is set, else an index.
type value uint64

const isConst value = 1 << 32

func constant(k uint32) value { return isConst | value(k) }

func (v value) constant() (uint32, bool) { return uint32(v), v&isConst != 0 }

func (b *builder) vector(v value) *vector {
	k, ok := v.constant()
	if !ok {
		return &b.vectors[v]
	}
	var x vector
	for i := range x {
		x[i] = bdd.Ref(k >> i & 1)
	}
	return &x
}

// intern returns the value of x.
func (b *builder) intern(x *vector) value {
	var k uint32
	for i, bit := range x {
		if bit != bdd.False && bit != bdd.True {
			goto symbolic
		}
		k |= uint32(bit) << i
	}
	return constant(k)
symbolic:
	if v, ok := b.index[*x]; ok {
		return v
	}
	if len(b.vectors) >= b.limits.vectors {
		return valueUnknown
	}
	b.vectors = append(b.vectors, *x)
	v := value(len(b.vectors) - 1)
	b.index[*x] = v
	return v
}

// The gates below extend the Boolean operations to unknown bits.

func (b *builder) and(x, y bdd.Ref) bdd.Ref {
	switch {
	case x == bdd.False, y == bdd.False:
		return bdd.False
	case x == unknown, y == unknown:
		return unknown
	}
	return b.m.And(x, y)
}

func (b *builder) or(x, y bdd.Ref) bdd.Ref {
	switch {
	case x == bdd.True, y == bdd.True:
		return bdd.True
	case x == unknown, y == unknown:
		return unknown
	}
	return b.m.Or(x, y)
}

func (b *builder) xor(x, y bdd.Ref) bdd.Ref {
	if x == unknown || y == unknown {
		return unknown
	}
	return b.m.Xor(x, y)
}

func (b *builder) not(x bdd.Ref) bdd.Ref { return b.xor(x, bdd.True) }

func (b *builder) mux(s, x, y bdd.Ref) bdd.Ref {
	switch {
	case x == y, s == bdd.True:
		return x
	case s == bdd.False:
		return y
	case s == unknown, x == unknown, y == unknown:
		return unknown
	}
	return b.m.ITE(s, x, y)
}

// bit computes one bit, unknown if that takes too much.
func (b *builder) bit(f func() bdd.Ref) bdd.Ref {
	r := unknown
	if !b.attempt(func() { r = f() }) {
		return unknown
	}
	return r
}

// bitwise returns the vector of op applied to the bits of x and y.
func (b *builder) bitwise(x, y *vector, op func(x, y bdd.Ref) bdd.Ref) *vector {
	var r vector
	for i := range r {
		r[i] = b.bit(func() bdd.Ref { return op(x[i], y[i]) })
	}
	return &r
}

// add returns x + y + carry.
func (b *builder) add(x, y *vector, carry bdd.Ref) *vector {
	var r vector
	for i := range r {
		sum, next := unknown, unknown
		if b.attempt(func() {
			half := b.xor(x[i], y[i])
			sum = b.xor(half, carry)
			next = b.or(b.and(x[i], y[i]), b.and(half, carry))
		}) {
			r[i], carry = sum, next
		} else {
			r[i], carry = unknown, unknown
		}
	}
	return &r
}

// sub returns x - y: x plus the complement of y plus 1.
func (b *builder) sub(x, y *vector) *vector {
	return b.add(x, b.bitwise(y, y, func(y, _ bdd.Ref) bdd.Ref { return b.not(y) }), bdd.True)
}

// shift returns x shifted by n bits to the left, or -n to the right.
func shift(x *vector, n int) *vector {
	var r vector
	for i := range r {
		if j := i - n; j >= 0 && j < len(x) {
			r[i] = x[j]
		}
	}
	return &r
}

// shiftBy returns x shifted by y modulo 32 to the left or, with sign -1, right.
func (b *builder) shiftBy(x, y *vector, sign int) *vector {
	for stage := range 5 {
		s := y[stage]
		shifted := shift(x, sign<<stage)
		x = b.bitwise(shifted, x, func(shifted, x bdd.Ref) bdd.Ref { return b.mux(s, shifted, x) })
	}
	return x
}

// mul returns x * y, row by row as on paper: bit i of the product depends only
// on the rows up to i, so that low bits stay exact where high ones get lost.
func (b *builder) mul(x, y *vector) *vector {
	sum := &vector{}
	for i, bit := range y {
		if bit == bdd.False {
			continue
		}
		row := b.bitwise(shift(x, i), &vector{}, func(x, _ bdd.Ref) bdd.Ref { return b.and(bit, x) })
		sum = b.add(sum, row, bdd.False)
	}
	return sum
}

// div returns x / y for y other than 0, by restoring division: the remainder
// takes in one bit of x after the other, and gives up y whenever it can.
func (b *builder) div(x, y *vector) *vector {
	if n, ok := b.powerOfTwo(y); ok {
		return shift(x, -n)
	}
	var quotient vector
	rest := &vector{}
	for i := len(x) - 1; i >= 0; i-- {
		overflow := rest[31]
		rest = shift(rest, 1)
		rest[0] = x[i]
		// A remainder with 33 bits is above y, and the difference fits again.
		fits := b.bit(func() bdd.Ref { return b.or(overflow, b.atLeast(rest, y)) })
		quotient[i] = fits
		less := b.sub(rest, y)
		rest = b.bitwise(less, rest, func(less, rest bdd.Ref) bdd.Ref { return b.mux(fits, less, rest) })
	}
	return &quotient
}

func (b *builder) powerOfTwo(y *vector) (int, bool) {
	k, ok := b.intern(y).constant()
	if !ok || k&(k-1) != 0 || k == 0 {
		return 0, false
	}
	n := 0
	for k>>n != 1 {
		n++
	}
	return n, true
}

// atLeast returns x >= y, comparing from the least significant bit up.
func (b *builder) atLeast(x, y *vector) bdd.Ref {
	r := bdd.True
	for i := range x {
		r = b.mux(b.xor(x[i], y[i]), x[i], r)
	}
	return r
}

// A condition that may depend on unknown bits is given by two functions: where
// it may hold, and where it must. They are equal if it is exact.
type bounds struct{ may, must bdd.Ref }

var anything = bounds{may: bdd.True, must: bdd.False}

// equal returns the bounds of x == y.
func (b *builder) equal(x, y *vector) bounds {
	may, exact := bdd.True, true
	for i := range x {
		switch same := b.not(b.xor(x[i], y[i])); same {
		case unknown:
			exact = false
		default:
			may = b.and(same, may)
		}
	}
	if exact {
		return bounds{may, may}
	}
	return bounds{may, bdd.False}
}

// The other comparisons are monotone: they hold the more, the more bits of x
// are set and, greater and atLeast, the fewer of y.

func (b *builder) monotone(x, y *vector, low, high bdd.Ref, test func(x, y *vector) bdd.Ref) bounds {
	return bounds{
		may:  test(with(x, bdd.True), with(y, high)),
		must: test(with(x, bdd.False), with(y, low)),
	}
}

// with returns x with the unknown bits replaced.
func with(x *vector, bit bdd.Ref) *vector {
	r := *x
	for i := range r {
		if r[i] == unknown {
			r[i] = bit
		}
	}
	return &r
}

func (b *builder) greaterOrEqual(x, y *vector) bounds {
	return b.monotone(x, y, bdd.True, bdd.False, b.atLeast)
}

func (b *builder) greater(x, y *vector) bounds {
	return b.monotone(x, y, bdd.True, bdd.False, func(x, y *vector) bdd.Ref { return b.not(b.atLeast(y, x)) })
}

func (b *builder) intersects(x, y *vector) bounds {
	return b.monotone(x, y, bdd.False, bdd.True, func(x, y *vector) bdd.Ref {
		r := bdd.False
		for i := range x {
			r = b.or(r, b.and(x[i], y[i]))
		}
		return r
	})
}
