//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// actionsProfile has an action for each of a few calls that nobody makes who is not
// told to. It lets mount pass, which the kernel itself refuses who may not.
const actionsProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [
	{"names": ["acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
	{"names": ["reboot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]},
	{"names": ["quotactl"], "action": "SCMP_ACT_TRACE", "errnoRet": 38},
	{"names": ["vhangup"], "action": "SCMP_ACT_LOG"},
	{"names": ["settimeofday"], "action": "SCMP_ACT_TRAP"},
	{"names": ["swapon"], "action": "SCMP_ACT_KILL_PROCESS"},
	{"names": ["swapoff"], "action": "SCMP_ACT_KILL_THREAD"}]}`

// following is the plugin, while it tells of refused calls.
type following struct {
	t       *testing.T
	cmd     *exec.Cmd
	denials chan v1alpha1.Denial // closed when it ends
	said    *strings.Builder
	errors  chan struct{} // closed when it says no more
}

// follow starts the plugin and waits until it looks for calls.
func follow(t *testing.T, args ...string) *following {
	t.Helper()
	f := &following{t: t, denials: make(chan v1alpha1.Denial, 1000), said: new(strings.Builder), errors: make(chan struct{}),
		cmd: exec.Command(plugin, append([]string{"--kubeconfig", cluster.Kubeconfig, "-n", ns, "denials", "--follow", "-o", "json"}, args...)...)}
	stdout, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := f.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.cmd.Process.Kill() })
	go func() {
		defer close(f.denials)
		for d := json.NewDecoder(stdout); ; {
			var one v1alpha1.Denial
			if d.Decode(&one) != nil {
				return
			}
			f.denials <- one
		}
	}()
	looks := make(chan struct{})
	go func() {
		defer close(f.errors)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(f.said, lines.Text())
			if strings.HasPrefix(lines.Text(), "looking for refused calls ") {
				close(looks)
			}
		}
	}()
	select {
	case <-looks:
	case <-f.errors:
		t.Fatalf("it does not begin: %s", f.said)
	}
	return f
}

// next waits for the next call that is told of.
func (f *following) next() v1alpha1.Denial {
	f.t.Helper()
	select {
	case d, ok := <-f.denials:
		if !ok {
			<-f.errors
			f.t.Fatalf("it has ended: %s", f.said)
		}
		return d
	case <-time.After(30 * time.Second):
		f.t.Fatal("no call was told of")
	}
	return v1alpha1.Denial{}
}

// end interrupts the plugin, and has nothing more be told of.
func (f *following) end(code int) {
	f.t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGINT); err != nil {
		f.t.Fatal(err)
	}
	for d := range f.denials {
		if d.Process.Runtime {
			continue
		}
		f.t.Errorf("and told of: %s, %s", d.Call, d.Outcome)
	}
	<-f.errors
	f.cmd.Wait()
	if got := f.cmd.ProcessState.ExitCode(); got != code {
		f.t.Errorf("exit code %d, want %d: %s", got, code, f.said)
	}
	nothingLeft(f.t, probepod.DefaultNamespace)
}

// TestDenials has a container make a call for each action, on both nodes: each is told
// of once, with what became of it and the instruction. A call that the kernel itself
// refuses is none of them.
func TestDenials(t *testing.T) {
	profile := localhost(t, "actions.json", actionsProfile)
	for _, node := range []string{"node-a", "node-b"} {
		p := under(pod("denials-"+node, node, "sleep"), profile)
		launch(t, p)
		f := follow(t, p.Name)
		for _, test := range []struct {
			call, text string
			outcome    v1alpha1.DenialOutcome
			result     string
			decided    string // by the instruction, as it is disassembled
			condition  string
		}{
			{"163", "acct(0)", v1alpha1.OutcomeFailed, "EPERM", "ERRNO(EPERM)", ""},
			{"165", "", "", "", "", ""}, // mount, which fails with EPERM
			{"169,7,1", "reboot(7, 1, LINUX_REBOOT_CMD_CAD_OFF, 0)", v1alpha1.OutcomeFailed, "EACCES", "ERRNO(EACCES)", "magic1 == 7"},
			{"169,8,1", "", "", "", "", ""},
			{"179", "quotactl(0, 0, 0, 0)", v1alpha1.OutcomeFailed, "ENOSYS", "TRACE(38)", ""},
			{"153", "vhangup()", v1alpha1.OutcomeExecuted, "", "LOG", ""},
			{"164", "settimeofday(0, 0)", v1alpha1.OutcomeSignal, "", "TRAP(0)", ""},
			{"167", "swapon(0, 0)", v1alpha1.OutcomeSignal, "", "KILL_PROCESS", ""},
			{"168", "swapoff(0)", v1alpha1.OutcomeKilled, "", "KILL_THREAD", ""},
		} {
			cmd := exec.Command(cluster.Kubectl, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "exec", p.Name, "--", "/workload", "count", "-n", "1", test.call)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if test.text == "" {
				if err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			d := f.next()
			for d.Process.Runtime {
				d = f.next()
			}
			// Of what loses a thread the others wait for each other.
			cmd.Process.Kill()
			cmd.Wait()
			if d.Call != test.text || d.Outcome != test.outcome || d.Result != test.result || d.Condition != test.condition && !strings.Contains(d.Condition, test.condition) || d.Detail != "" {
				t.Errorf("%s: %s is %s with %q when %q (%s), want %+v", node, d.Call, d.Outcome, d.Result, d.Condition, d.Detail, test)
			}
			by := d.DecidedBy
			if by == nil || by.Filter != 0 || by.Filters != 1 || !strings.HasSuffix(by.Listing[by.PC-by.First], "; "+test.decided) {
				t.Errorf("%s: %s is decided by %+v, want the one filter, by %s", node, d.Call, by, test.decided)
			}
			if d.Source.Pod != p.Name || d.Source.Container != "main" || d.Source.Node != node || d.Process.Comm != "workload" || d.Process.PID == d.Process.NSPID {
				t.Errorf("%s: by %+v in %+v", d.Call, d.Process, d.Source)
			}
			if (d.Remedy != nil) != (d.Outcome != v1alpha1.OutcomeExecuted) {
				t.Errorf("%s: remedy %+v", d.Call, d.Remedy)
			}
		}
		f.end(1)
	}
}

// TestDenialsTable has what is alike be one line, and a rate that is bounded.
func TestDenialsTable(t *testing.T) {
	cmd := exec.Command(plugin, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "denials", "a", "b", "--least-privilege", "-o", "json")
	var stdout strings.Builder
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "looking for refused calls ") {
			execute(t, "a", "main", "count", "-n", "5000", initModule)
			execute(t, "b", "main", "count", "-n", "3", initModule)
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	var list v1alpha1.DenialList
	if err := json.Unmarshal([]byte(stdout.String()), &list); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	items := 0
	for _, d := range list.Items {
		if d.Process.Runtime {
			continue // runtimes try more than the profile allows
		}
		items++
		got[d.Source.Pod+" "+d.Syscall] = d.Count
	}
	if items != 2 || got["a init_module"] != 5000 || got["b init_module"] != 3 {
		t.Errorf("%v, want 5000 calls of init_module of a and 3 of b", got)
	}
	for _, w := range list.Containers {
		if w.Lost != nil || len(w.Counted) > 0 || w.Mode != "filter" {
			t.Errorf("%+v: want nothing lost", w)
		}
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// TestDenialsInput has what cannot be done.
func TestDenialsInput(t *testing.T) {
	failed(t, seccomp(t, "denials", "a", "--duration", "0"), "--duration 0s")
	failed(t, seccomp(t, "denials"), "takes pods")
	failed(t, seccomp(t, "denials", "no-such-pod"), "no-such-pod")
	nothingLeft(t, probepod.DefaultNamespace)
}
