package survey

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// The JSON form of a survey, for machines and for whoever reads a probe's log:
//
//	{"abi":"amd64","default":"ERRNO(38)","beyond":"ERRNO(38)",
//	 "runs":[[0,55,"ALLOW"],[56,56,"DEPENDS(0x0010)"],…]}

type surveyJSON struct {
	ABI     string    `json:"abi"`
	Default string    `json:"default"`
	Beyond  string    `json:"beyond"`
	Runs    []runJSON `json:"runs"`
}

type runJSON Run

func (s Survey) MarshalJSON() ([]byte, error) {
	out := surveyJSON{s.ABI.String(), s.Default.String(), s.Beyond.String(), make([]runJSON, len(s.Runs))}
	for i, r := range s.Runs {
		out.Runs[i] = runJSON(r)
	}
	return json.Marshal(out)
}

func (s *Survey) UnmarshalJSON(text []byte) error {
	var in surveyJSON
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return err
	}
	var out Survey
	var err error
	if out.ABI, err = syscalls.ParseABI(in.ABI); err != nil {
		return err
	}
	if out.Default, err = parseOutcome(in.Default); err != nil {
		return err
	}
	if out.Beyond, err = parseOutcome(in.Beyond); err != nil {
		return err
	}
	out.Runs = make([]Run, len(in.Runs))
	for i, r := range in.Runs {
		out.Runs[i] = Run(r)
	}
	*s = out
	return nil
}

func (r runJSON) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{r.First, r.Last, r.Outcome.String()})
}

func (r *runJSON) UnmarshalJSON(text []byte) error {
	var outcome string
	fields := []any{&r.First, &r.Last, &outcome}
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	if len(fields) != 3 {
		return errors.New("a run is two numbers and an outcome")
	}
	var err error
	r.Outcome, err = parseOutcome(outcome)
	return err
}

const (
	undecided = "UNDECIDED"
	depends   = "DEPENDS"
)

// String returns the outcome as an action's name, with its data in parentheses
// where it has any; as DEPENDS with the set of words; or as UNDECIDED.
func (o Outcome) String() string {
	switch {
	case o.Undecided:
		return undecided
	case o.Depends:
		return fmt.Sprintf("%s(%#04x)", depends, uint16(o.Words))
	case o.Return.Data() != 0 || o.Return.Action() == bpf.Errno:
		return fmt.Sprintf("%v(%d)", o.Return.Action(), o.Return.Data())
	}
	return o.Return.Action().String()
}

// actions are those that a normalised return can have.
var actions = []bpf.Action{bpf.KillProcess, bpf.KillThread, bpf.Trap, bpf.Errno, bpf.UserNotif, bpf.Trace, bpf.Log, bpf.Allow}

// parseOutcome is the inverse of String.
func parseOutcome(text string) (Outcome, error) {
	name, rest, hasData := strings.Cut(text, "(")
	var data uint64
	if hasData {
		var err error
		digits, closed := strings.CutSuffix(rest, ")")
		if data, err = strconv.ParseUint(digits, 0, 16); err != nil || !closed {
			return Outcome{}, fmt.Errorf("unknown outcome %q", text)
		}
	}
	var o Outcome
	switch name {
	case undecided:
		o.Undecided = true
	case depends:
		o.Depends, o.Words = true, bpf.Words(data)
	default:
		for _, a := range actions {
			if a.String() == name {
				o.Return = a.With(uint16(data))
			}
		}
	}
	// What does not print as it was read was not an outcome: an unknown name,
	// data where there is none, another spelling.
	if o.String() != text || o.check() != nil {
		return Outcome{}, fmt.Errorf("unknown outcome %q", text)
	}
	return o, nil
}
