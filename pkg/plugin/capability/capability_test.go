package capability

import "testing"

func TestString(t *testing.T) {
	for _, test := range []struct{ hex, want string }{
		{"0000000000000000", "none"},
		{"00000000a80425fb", "default"},
		{"000001ffffffffff", "all"},
		// docker run --cap-drop=MKNOD --cap-add=NET_ADMIN
		{"00000000a00435fb", "default, NET_ADMIN, without MKNOD"},
		{"0000000000000400", "NET_BIND_SERVICE"},
		{"0000000000280000", "SYS_PTRACE, SYS_ADMIN"},
		{"000001ffffdfffff", "all, without SYS_ADMIN"},
		{"8000000000000001", "CHOWN, 63"},
	} {
		set, err := Parse(test.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.String(); got != test.want {
			t.Errorf("Set(%s).String() = %q, want %q", test.hex, got, test.want)
		}
		if again := SetOf(set.Names()); again != set {
			t.Errorf("SetOf(%q) = %x, want %x", set.Names(), again, set)
		}
	}
	for _, bad := range []string{"", "0x1", "10000000000000000", "g"} {
		if set, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", bad, set)
		}
	}
}

func TestParseNames(t *testing.T) {
	for _, c := range []struct {
		list []string
		want Set
	}{
		{nil, 0},
		{[]string{"SYS_ADMIN"}, 1 << 21},
		{[]string{"CAP_SYS_ADMIN", "net_raw", "cap_chown"}, 1<<21 | 1<<13 | 1},
		{[]string{"ALL"}, All},
	} {
		if got, err := ParseNames(c.list); got != c.want || err != nil {
			t.Errorf("ParseNames(%q) = %v, %v, want %v", c.list, got, err, c.want)
		}
	}
	for _, name := range []string{"", "SYS_ADMN", "CAP_", "21", "SYS_ADMIN "} {
		if got, err := ParseNames([]string{name}); err == nil {
			t.Errorf("ParseNames(%q) = %v, want an error", name, got)
		}
	}
}
