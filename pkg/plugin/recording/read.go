package recording

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/saved"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// maxFile bounds a file of recordings, in bytes: a run has some ten thousand.
const maxFile = 64 << 20

// Read returns the runs in a file that a command saved, or in standard input for "-":
// in JSON or YAML, of one recording or of several. Numbers are believed; names are
// those that the numbers have.
func Read(file string, stdin io.Reader) ([]v1alpha1.RecordedRun, error) {
	data, err := saved.Read(file, stdin, maxFile)
	if err != nil {
		return nil, err
	}
	runs, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", saved.Label(file), err)
	}
	return runs, nil
}

func parse(data []byte) ([]v1alpha1.RecordedRun, error) {
	var meta metav1.TypeMeta
	if err := saved.Unmarshal(data, &meta); err != nil {
		return nil, err
	}
	if meta.Kind != "Recording" && meta.Kind != "RecordingList" {
		if meta.Kind == "" {
			return nil, errors.New("it has no kind: want a Recording, which `record` and `merge` print as JSON or YAML")
		}
		return nil, fmt.Errorf("it is of kind %s: want a Recording, which `record` and `merge` print as JSON or YAML", failure.Quote(meta.Kind))
	}
	if meta.APIVersion != v1alpha1.GroupVersion.String() {
		return nil, fmt.Errorf("apiVersion %s: %w: this build reads %s, a newer one may read this file",
			failure.Quote(meta.APIVersion), saved.ErrVersion, v1alpha1.GroupVersion)
	}
	if meta.Kind == "Recording" {
		var r v1alpha1.Recording
		if err := saved.Unmarshal(data, &r); err != nil {
			return nil, err
		}
		return runsOf(&r, "")
	}
	var list v1alpha1.RecordingList
	if err := saved.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, errors.New("items: the list holds no recording")
	}
	var all []v1alpha1.RecordedRun
	for i := range list.Items {
		runs, err := runsOf(&list.Items[i], fmt.Sprintf("items[%d].", i))
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	return all, nil
}

// runsOf are the runs of a recording that is at a path in its file.
func runsOf(r *v1alpha1.Recording, path string) ([]v1alpha1.RecordedRun, error) {
	runs := r.Runs
	if len(runs) == 0 {
		runs = []v1alpha1.RecordedRun{r.RecordedRun}
	}
	for i := range runs {
		if err := restore(&runs[i]); err != nil {
			if len(r.Runs) > 0 {
				return nil, fmt.Errorf("%sruns[%d].%w", path, i, err)
			}
			return nil, fmt.Errorf("%s%w", path, err)
		}
	}
	return runs, nil
}

var (
	runID = regexp.MustCompile(`^[0-9a-f]{32}$`)
	modes = []string{"", "disabled", "strict", "filter"}
)

// restore checks a run that was saved. Its errors begin with the path of what is
// wrong.
func restore(r *v1alpha1.RecordedRun) error {
	saved.Escape(r)
	machine := syscalls.OfMachine(r.Source.Arch)
	switch {
	case !runID.MatchString(r.ID):
		return fmt.Errorf("id %s: want the 32 hexadecimal digits that name a run", failure.Quote(r.ID))
	case len(machine) == 0:
		return fmt.Errorf("source.arch %s: there is no such architecture", failure.Quote(r.Source.Arch))
	case r.Began.IsZero() || r.Ended.Time.Before(r.Began.Time):
		return errors.New("began, ended: want two times, the later one behind")
	case !slices.Contains(modes, r.Mode) || r.FilterCount < 0:
		return fmt.Errorf("mode %s with %d filters: there is no such thing", failure.Quote(r.Mode), r.FilterCount)
	case r.Coverage.Unclear < 0:
		return errors.New("coverage.unclear: want a number of calls")
	}
	for i, name := range r.Source.ABIs {
		if abi, err := syscalls.ParseABI(name); err != nil || !slices.Contains(machine, abi) {
			return fmt.Errorf("source.abis[%d] %s: it is no ABI of %s", i, failure.Quote(name), r.Source.Arch)
		}
	}
	if l := r.Coverage.Lost; l != nil && min(l.Calls, l.Values, l.Refused, l.Origins, l.Runs) < 0 {
		return errors.New("coverage.lost: want numbers of calls")
	}
	v := validator{machine: machine, seen: make(map[string]bool)}
	for i := range r.Calls {
		v.call(&r.Calls[i], "calls", i, "")
	}
	for i := range r.Runtime {
		v.call(&r.Runtime[i], "runtime", i, "")
	}
	for i := range r.Refused {
		c := &r.Refused[i]
		if abi, ok := v.call(&c.RecordedCall, "refused", i, c.Errno); ok && !isErrno(abi, c.Errno) {
			v.fail("refused[%d].errno %s: there is no such error", i, failure.Quote(c.Errno))
		}
	}
	for i := range r.Values {
		v.value(&r.Values[i], i)
	}
	return v.err
}

// validator checks calls, and keeps the first error.
type validator struct {
	machine []syscalls.ABI
	seen    map[string]bool
	err     error
}

func (v *validator) fail(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

// call checks a call and gives it the name that its number has. In one list, it may be
// there once with the same rest.
func (v *validator) call(c *v1alpha1.RecordedCall, list string, i int, rest string) (syscalls.ABI, bool) {
	c.Runs = 0
	abi, err := syscalls.ParseABI(c.ABI)
	if err != nil || !slices.Contains(v.machine, abi) {
		v.fail("%s[%d].abi %s: the machine has none of that name", list, i, failure.Quote(c.ABI))
		return 0, false
	}
	c.ABI = abi.String()
	name := ""
	if c.NR != "" {
		nr, err := strconv.ParseUint(c.NR, 0, 32)
		if err != nil {
			v.fail("%s[%d].nr %s: want a number of 32 bits", list, i, failure.Quote(c.NR))
			return 0, false
		}
		name, _ = abi.Name(uint32(nr))
		c.NR = fmt.Sprintf("%#x", nr)
	}
	key := fmt.Sprint(list, " ", c.ABI, " ", c.NR, " ", rest)
	switch {
	case c.Syscall != "" && c.Syscall != name:
		v.fail("%s[%d].syscall %s: it is not the name of %s's number %s in Linux %s", list, i, failure.Quote(c.Syscall), abi, failure.Quote(c.NR), syscalls.KernelVersion)
	case c.Count <= 0:
		v.fail("%s[%d].count %d: want how often it was called", list, i, c.Count)
	case v.seen[key]:
		v.fail("%s[%d]: it is there before", list, i)
	}
	c.Syscall, v.seen[key] = name, true
	return abi, v.err == nil
}

func (v *validator) value(c *v1alpha1.RecordedValue, i int) {
	abi, ok := v.call(&c.RecordedCall, "values", i, c.Parameter+" "+c.Value)
	if !ok {
		return
	}
	params := abi.Params(c.Syscall)
	n, err := strconv.ParseUint(c.Value, 0, 32)
	switch {
	case !slices.ContainsFunc(params, func(p syscalls.Param) bool { return p.Name == c.Parameter }):
		v.fail("values[%d].parameter %s: %s has none of that name", i, failure.Quote(c.Parameter), failure.Quote(c.Syscall))
	case err != nil:
		v.fail("values[%d].value %s: want a number of 32 bits", i, failure.Quote(c.Value))
	default:
		*c = NewValue(abi, c.RecordedCall, c.Parameter, uint32(n))
	}
}

// NewValue is how often an argument had a value, by the names that it has.
func NewValue(abi syscalls.ABI, call v1alpha1.RecordedCall, parameter string, n uint32) v1alpha1.RecordedValue {
	v := v1alpha1.RecordedValue{RecordedCall: call, Parameter: parameter, Value: fmt.Sprintf("%#x", n)}
	if flags := abi.Flags(call.Syscall, parameter); flags != nil {
		if text := flags.Format(uint64(n)); text != v.Value {
			v.Text = text
		}
	}
	return v
}

// isErrno tells whether a refused call can have had a result: none, "0", the name of
// an error or, where it has no name, its number.
func isErrno(abi syscalls.ABI, text string) bool {
	if _, named := abi.ErrnoNumber(text); named || text == "" || text == "0" {
		return true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n <= maxErrno
}

// maxErrno is MAX_ERRNO of include/linux/err.h.
const maxErrno = 4095
