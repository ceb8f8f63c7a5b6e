package report

import (
	"unicode/utf8"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

const (
	// maxName bounds what the node calls a thread or itself: TASK_COMM_LEN is 16,
	// a kernel worker shows 64 bytes, utsname(2) has 65 for each of its fields.
	// A byte that is not UTF-8 takes three once it has travelled.
	maxName = 256
	// maxText bounds each part of a problem's sentence.
	maxText = 1 << 10
	// maxProblems bounds the problems of one target, and those of none. The
	// probe tells at most a few of each code.
	maxProblems = 64
)

// clip shortens what is longer than most bytes, between characters.
func clip(s string, most int) string {
	const ellipsis = "…"
	if len(s) <= most {
		return s
	}
	n := most - len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}

// clipProblem shortens the texts of a problem.
func clipProblem(p *wire.Problem) {
	p.Comm = clip(p.Comm, maxName)
	for _, s := range []*string{&p.Op, &p.Errno, &p.Detail, &p.Remedy} {
		*s = clip(*s, maxText)
	}
}

// addProblem returns the list with a problem, its text clipped. What comes when
// the list is full is counted by its last element.
func addProblem(list []wire.Problem, p wire.Problem) []wire.Problem {
	if len(list) < maxProblems {
		clipProblem(&p)
		return append(list, p)
	}
	if len(list) == maxProblems {
		list = append(list, wire.Problem{Target: p.Target, Code: wire.CodeTooManyProblems})
	}
	list[maxProblems].More += 1 + p.More
	return list
}
