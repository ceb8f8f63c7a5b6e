package recording

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// randomRun is a run of one of few names, so that runs meet each other again.
func randomRun(r *rand.Rand) v1alpha1.RecordedRun {
	id := r.IntN(6)
	began := metav1.NewTime(time.Unix(1795521392, 0).UTC())
	run := v1alpha1.RecordedRun{
		ID: fmt.Sprintf("%032x", id), Began: began,
		// The same run can have been saved at several of its moments.
		Ended: metav1.NewTime(began.Add(time.Duration(1+r.IntN(3)) * time.Second)), FilterCount: r.IntN(3), Mode: "filter",
		Source: v1alpha1.Source{
			Operand: "x", Namespace: "ns", Pod: fmt.Sprint("web-", id), Workload: fmt.Sprint("deployment/", id%2), Container: fmt.Sprint("c", id%3),
			Image: "nginx", Arch: []string{"amd64", "arm64"}[id%4/3], PID: 7,
		},
		Calls: []v1alpha1.RecordedCall{},
	}
	machine := syscalls.OfMachine(run.Source.Arch)
	run.Source.ABIs = []string{machine[0].String()}
	for _, nr := range r.Perm(5)[:r.IntN(5)] {
		call := v1alpha1.RecordedCall{ABI: machine[r.IntN(2)].String(), NR: fmt.Sprintf("%#x", nr), Count: 1 + r.Int64N(9)}
		abi, _ := syscalls.ParseABI(call.ABI)
		call.Syscall, _ = abi.Name(uint32(nr))
		if r.IntN(9) == 0 {
			call.Count = math.MaxInt64 - r.Int64N(2)
		}
		switch r.IntN(4) {
		case 0:
			run.Refused = append(run.Refused, v1alpha1.RefusedCall{RecordedCall: call, Errno: []string{"", "0", "EPERM"}[r.IntN(3)]})
		case 1:
			run.Runtime = append(run.Runtime, call)
		default:
			run.Calls = append(run.Calls, call)
		}
	}
	if r.IntN(2) == 0 {
		nr, _ := machine[0].Number("socket")
		call := v1alpha1.RecordedCall{ABI: machine[0].String(), Syscall: "socket", NR: fmt.Sprintf("%#x", nr), Count: 2}
		run.Values = append(run.Values, NewValue(machine[0], call, "family", uint32(r.IntN(3))))
		run.Coverage.Lost = &v1alpha1.Lost{Calls: r.Int64N(3), Values: 1}
		run.Problems = []v1alpha1.Problem{{Code: "exited", Message: fmt.Sprint(r.IntN(2))}}
	}
	run.Coverage.Start, run.Coverage.Unclear = r.IntN(3) == 0, r.Int64N(2)
	return run
}

// file merges files into one, as the command does: by way of what it prints.
func file(t *testing.T, files ...[]byte) []byte {
	t.Helper()
	var set Set
	for _, f := range files {
		runs, err := parse(f)
		if err != nil {
			t.Fatalf("%v\n%s", err, f)
		}
		for _, run := range runs {
			set.Add(run)
		}
	}
	text, err := json.Marshal(v1alpha1.RecordingList{TypeMeta: v1alpha1.TypeMeta("RecordingList"), Items: set.Merge(byWorkload)})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestMergeIsUnion merges random recordings in every order and grouping, and some of
// them again: what comes of it is always the same.
func TestMergeIsUnion(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var files [][]byte
		for range 3 {
			var list []v1alpha1.Recording
			for range 1 + r.IntN(3) {
				run := randomRun(r)
				if !slices.ContainsFunc(list, func(l v1alpha1.Recording) bool { return l.ID == run.ID }) {
					list = append(list, v1alpha1.Recording{TypeMeta: v1alpha1.TypeMeta("Recording"), RecordedRun: run})
				}
			}
			text, err := json.Marshal(v1alpha1.RecordingList{TypeMeta: v1alpha1.TypeMeta("RecordingList"), Items: list})
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, text)
		}
		a, b, c := files[0], files[1], files[2]
		want := string(file(t, a, b, c))
		for name, got := range map[string][]byte{
			"another order":    file(t, c, a, b),
			"(ab)c":            file(t, file(t, a, b), c),
			"a(bc)":            file(t, a, file(t, b, c)),
			"again":            file(t, a, b, c, a, b),
			"(ab)(bc)":         file(t, file(t, a, b), file(t, b, c)),
			"of what it makes": file(t, file(t, a, b, c)),
		} {
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Fatalf("%s: (-want +got)\n%s", name, diff)
			}
		}
	}
}

// TestMergeCounts adds up runs by hand.
func TestMergeCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var set Set
		for range 5 {
			set.Add(randomRun(r))
		}
		inRuns := 0
		for _, merged := range set.Merge(Criteria["all"]) {
			runs := merged.Runs
			if len(runs) == 0 {
				runs = []v1alpha1.RecordedRun{merged.RecordedRun}
			}
			inRuns += len(runs)
			type key struct{ abi, nr, errno string }
			calls, refused, seen := map[key]float64{}, map[key]float64{}, map[key]int{}
			var lost int64
			for _, run := range runs {
				for _, c := range run.Calls {
					calls[key{c.ABI, c.NR, ""}] += float64(c.Count)
					seen[key{c.ABI, c.NR, ""}]++
				}
				for _, c := range run.Refused {
					refused[key{c.ABI, c.NR, c.Errno}] += float64(c.Count)
				}
				if run.Coverage.Lost != nil {
					lost += run.Coverage.Lost.Calls
				}
			}
			if len(calls) != len(merged.Calls) || len(refused) != len(merged.Refused) {
				t.Fatalf("%d calls and %d refused, want %d and %d", len(merged.Calls), len(merged.Refused), len(calls), len(refused))
			}
			for _, c := range merged.Calls {
				k := key{c.ABI, c.NR, ""}
				if want := min(calls[k], math.MaxInt64); float64(c.Count) != want || len(runs) > 1 && c.Runs != seen[k] {
					t.Errorf("%v: %d in %d runs, want %v in %d", k, c.Count, c.Runs, want, seen[k])
				}
			}
			for _, c := range merged.Refused {
				if want := min(refused[key{c.ABI, c.NR, c.Errno}], math.MaxInt64); float64(c.Count) != want {
					t.Errorf("%v: %d refused, want %v", c, c.Count, want)
				}
			}
			if got := merged.Coverage.Lost; lost > 0 && (got == nil || got.Calls != lost) {
				t.Errorf("lost %v, want %d", got, lost)
			}
		}
		if inRuns != set.Len() {
			t.Errorf("%d runs of %d were merged", inRuns, set.Len())
		}
	}
}
