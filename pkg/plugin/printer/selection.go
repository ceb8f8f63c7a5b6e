package printer

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"

// selected says behind a verdict how calls were looked at.
func selected(s *v1alpha1.Selection) (text string) {
	if s == nil {
		return ""
	}
	if s.View == v1alpha1.ViewKernel {
		text += ", as the kernel sees it"
	}
	if s.Reduced {
		text += "; by access alone"
	}
	return text
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
