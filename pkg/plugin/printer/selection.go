package printer

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"

// selected says behind a verdict how calls were looked at.
func selected(s *v1alpha1.Selection) (text string) {
	if s == nil {
		return ""
	}
	text = view(s.View)
	if s.Reduced {
		text += "; by access alone"
	}
	return text
}

// view says behind a verdict what it is about, if not about the filters as they
// are written.
func view(v string) string {
	if v == v1alpha1.ViewKernel {
		return ", as the kernel sees it"
	}
	return ""
}

// risks lists why syscalls are restricted.
func (o *output) risks(list []v1alpha1.Risk) {
	if len(list) == 0 {
		return
	}
	t := table{header: []string{"SYSCALL", "RISK"}, wrap: []int{1}}
	for _, r := range list {
		t.add(r.Syscall, r.Risk)
	}
	o.printf("\n")
	o.table(t)
}
