package printer

import (
	"fmt"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// sarifVerification has a result for each reason that a container's readings part by:
// an error where the profile that is declared is not enforced, a warning where that
// could not be told, and a note where it holds all the same.
func sarifVerification(v *v1alpha1.Verification) (run sarifRun) {
	run.Results = []sarifResult{}
	for _, c := range v.Items {
		for _, a := range c.Arrows {
			level := sarifHolds[a.Holds]
			arrow := a.From + " → " + a.To
			reasons := a.Reasons
			if len(reasons) == 0 && a.Holds != v1alpha1.HoldsYes {
				reasons = []v1alpha1.Reason{{Code: v1alpha1.ReasonUnexplained, Detail: "no reason was found"}}
			}
			var codes []string
			details := make(map[string][]string)
			for _, r := range reasons {
				if details[r.Code] == nil {
					codes = append(codes, r.Code)
				}
				details[r.Code] = append(details[r.Code], r.Detail)
			}
			for _, code := range codes {
				text := fmt.Sprintf("%s: %s: %s: %s", container(c.Source), arrow, arrowRelation(a), strings.Join(details[code], "; "))
				run.Results = append(run.Results, newResult(code, level, text, c.Source, arrow))
			}
		}
	}
	return run
}

var sarifHolds = map[v1alpha1.Holds]string{
	v1alpha1.HoldsYes: levelNote, v1alpha1.HoldsNo: levelError, v1alpha1.HoldsUnknown: levelWarning,
}
