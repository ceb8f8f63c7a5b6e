package printer

import (
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

func TestTable(t *testing.T) {
	tab := table{
		header: []string{"B IS", "A", "SYSCALL"},
		wrap:   []int{2},
		rows: []row{
			{cells: []string{"tighter", "ALLOW", "io_uring_enter, io_uring_register, io_uring_setup"}, style: terminal.Green},
			{cells: []string{"looser", "ERRNO(EPERM)", "日本\ne.g. two lines"}, style: terminal.Red},
			{cells: []string{"", "", "CLONE_NEWUSER|CLONE_NEWNS|CLONE_NEWNET a_word_that_is_too_long_for_a_line"}},
		},
	}
	const want = `
B IS      A              SYSCALL
` + "\x1b[32mtighter\x1b[0m" + `   ALLOW          io_uring_enter,
                         io_uring_register,
                         io_uring_setup
` + "\x1b[31mlooser\x1b[0m" + `    ERRNO(EPERM)   日本
                         e.g. two lines
                         CLONE_NEWUSER|
                         CLONE_NEWNS|CLONE_NEWNET
                         a_word_that_is_too_long_for_a_line
`
	var out strings.Builder
	if err := tab.print(&out, 44); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}
