package printer

import (
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

func TestTable(t *testing.T) {
	tab := table{
		header: []string{"ABI", "SYSCALL", "A", "B IS"},
		wrap:   []int{1},
		rows: []row{
			{cells: []string{"amd64", "io_uring_enter, io_uring_register, io_uring_setup", "ALLOW", "tighter"}, style: terminal.Green},
			{cells: []string{"386", "日本", "ERRNO(EPERM)", "looser"}, style: terminal.Red},
			{cells: []string{"x32", "a_word_longer_than_the_whole_column", "", ""}},
		},
	}
	const want = `
ABI     SYSCALL                               A              B IS
amd64   io_uring_enter,                       ALLOW          ` + "\x1b[32mtighter\x1b[0m" + `
        io_uring_register,
        io_uring_setup
386     日本                                  ERRNO(EPERM)   ` + "\x1b[31mlooser\x1b[0m" + `
x32     a_word_longer_than_the_whole_column
`
	var out strings.Builder
	if err := tab.print(&out, 60); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}
