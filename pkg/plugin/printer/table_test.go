package printer

import (
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// someTable has words that may be broken, words that may not, and none.
func someTable() table {
	return table{
		header: []string{"B IS", "A", "SYSCALL"},
		wrap:   []int{2},
		rows: []row{
			{cells: []string{"tighter", "ALLOW", "io_uring_enter, io_uring_register, io_uring_setup"}, style: terminal.Green},
			{cells: []string{"looser", "ERRNO(EPERM)", "日本\ne.g. two lines"}, style: terminal.Red},
			{cells: []string{"", "", "CLONE_NEWUSER|CLONE_NEWNS|CLONE_NEWNET a_word_that_is_too_long_for_a_line"}},
		},
	}
}

func printTable(t *testing.T, tab table, width int, want string) {
	t.Helper()
	var out strings.Builder
	if err := tab.print(&out, width); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestTable(t *testing.T) {
	printTable(t, someTable(), 60, `
B IS      A              SYSCALL
`+"\x1b[32mtighter\x1b[0m"+`   ALLOW          io_uring_enter, io_uring_register,
                         io_uring_setup
`+"\x1b[31mlooser\x1b[0m"+`    ERRNO(EPERM)   日本
                         e.g. two lines
                         CLONE_NEWUSER|CLONE_NEWNS|
                         CLONE_NEWNET
                         a_word_that_is_too_long_for_a_line
`)
}

// TestRecords is a table that does not fit on a narrow terminal, with headings and
// without.
func TestRecords(t *testing.T) {
	printTable(t, someTable(), 44, `
B IS      `+"\x1b[32mtighter\x1b[0m"+`
A         ALLOW
SYSCALL   io_uring_enter, io_uring_register,
          io_uring_setup

B IS      `+"\x1b[31mlooser\x1b[0m"+`
A         ERRNO(EPERM)
SYSCALL   日本
          e.g. two lines

SYSCALL   CLONE_NEWUSER|CLONE_NEWNS|
          CLONE_NEWNET
          a_word_that_is_too_long_for_a_line
`)
	bare := someTable()
	bare.header = nil
	printTable(t, bare, 44, "\n"+"\x1b[32mtighter\x1b[0m"+`
  ALLOW
  io_uring_enter, io_uring_register,
  io_uring_setup
`+"\x1b[31mlooser\x1b[0m"+`
  ERRNO(EPERM)
  日本
  e.g. two lines
  CLONE_NEWUSER|CLONE_NEWNS|CLONE_NEWNET
  a_word_that_is_too_long_for_a_line
`)
}
