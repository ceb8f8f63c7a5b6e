package printer

import (
	"maps"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// Rules that are no reason of a Verification.
const (
	ruleLooser      = "looser"
	ruleTighter     = "tighter"
	ruleChanged     = "changed"
	ruleNotDecided  = "not-decided"
	ruleNotCompared = "not-compared"
	ruleNotListed   = "not-listed"
)

var ruleOfDirection = map[v1alpha1.Direction]struct{ id, level string }{
	v1alpha1.DirectionLooser:    {ruleLooser, levelError},
	v1alpha1.DirectionTighter:   {ruleTighter, levelNote},
	v1alpha1.DirectionChanged:   {ruleChanged, levelNote},
	v1alpha1.DirectionUndecided: {ruleNotDecided, levelWarning},
}

// rules are what results can be of: what a rule is about, and what to do.
var rules = map[string]struct{ short, help string }{
	ruleLooser:      {"A syscall gets more access", "The second policy executes calls that the first one denies or mediates, or mediates what the first one denies. Review whether the workload needs them; if not, deny them in the profile."},
	ruleTighter:     {"A syscall gets less access", "The second policy denies or mediates calls that the first one lets through. A workload that makes them fails: record what it calls before the profile is rolled out."},
	ruleChanged:     {"A syscall is answered in another manner", "Access is the same, but the action or its data is another, such as the errno of a denial. Programs may take another errno for something else: ENOSYS has many try an older call, and EPERM has them give up."},
	ruleNotDecided:  {"What becomes of a syscall is undecided", "A filter computes more than the analysis has room for. This is not known to be a difference, nor to be none."},
	ruleNotCompared: {"A syscall was not compared", "Of different architectures, calls are compared by name and argument. This one has no arguments that can be compared."},
	ruleNotListed:   {"Not all differences are listed", "The verdict is about all calls, and the results are not: a selection of calls leaves some out, or there are too many to list. Compare without --abi, --syscall, --risky and --reduce."},

	v1alpha1.ReasonPrivileged:      {"The container is privileged", "Runtimes give a privileged container no filter, whatever is declared. Take privileged out of its security context and add the capabilities that it needs."},
	v1alpha1.ReasonAnnotation:      {"The profile is declared by an annotation that has no effect", "Since 1.27 Kubernetes takes no notice of seccomp annotations. Declare the profile by securityContext.seccompProfile."},
	v1alpha1.ReasonSeccompDefault:  {"Nothing is declared, and kubelet's seccompDefault counts", "Declare a profile by securityContext.seccompProfile, or set seccompDefault in the configuration of every kubelet."},
	v1alpha1.ReasonFileChanged:     {"The Localhost profile was changed after the container was created", "A container keeps the profile that it was created with. Restart it to have it confined by the file as it is now."},
	v1alpha1.ReasonFileDiffers:     {"The Localhost profile is not what the runtime was given", "The file is not known to be newer than the container, and differs all the same. Find out who writes it, and restart the container."},
	v1alpha1.ReasonDefaultDiffers:  {"RuntimeDefault is another profile now", "The runtime has been upgraded or configured since the container was created. Restart the container to have it confined by what the runtime gives now."},
	v1alpha1.ReasonNoDefault:       {"The runtime has no profile for RuntimeDefault", "Containers that ask for RuntimeDefault have no filter on this node. Configure a profile in the runtime, or declare a Localhost one."},
	v1alpha1.ReasonIgnoredKey:      {"The runtime does not know a key of the profile", "The profile is written for another runtime, which reads keys that this one leaves out. Write it in the form that the node's runtime reads."},
	v1alpha1.ReasonApplication:     {"The application has added filters of its own", "They can only tighten what is declared. Nothing has to be done."},
	v1alpha1.ReasonNotApplied:      {"A profile is configured, and there is no filter", "The OCI runtime was told a profile, and the kernel holds none. Find out what started the container's process."},
	v1alpha1.ReasonUnknownSyscalls: {"The node's libseccomp does not know syscalls of the profile", "What the profile says of them is skipped: they get its default action. Upgrade libseccomp on the node."},
	v1alpha1.ReasonOCIRuntime:      {"The OCI runtime interprets the profile otherwise than runc does", "The filter is what this runtime makes of the profile. Write it so that all runtimes in use make the same of it, or use one of them."},
	v1alpha1.ReasonCompiler:        {"Rules of the profile compete", "Which of them wins where both hold is the compiler's choice. Write rules that exclude each other."},
	v1alpha1.ReasonThreads:         {"Threads are not confined as the main thread is", "A process was brought into the container, or a thread has other filters. `kubectl seccomp dump --all-threads` shows which."},
	v1alpha1.ReasonDoor:            {"Restricted calls can be made in another way", "A profile that restricts a call for one ABI lets it through for another, or has another syscall that does the same. List all architectures and all such syscalls in the profile."},
	v1alpha1.ReasonCapabilities:    {"The reference has other capabilities than the container", "What RuntimeDefault means depends on capabilities, and could not be found out for those of this container."},
	v1alpha1.ReasonNotRead:         {"A reading is missing", "Not everything could be read that the verdict depends on. The message says what, and why."},
	v1alpha1.ReasonUndecided:       {"Filters compute too much to be compared", "A filter computes more than the analysis has room for, so that it is not known whether the profile is enforced."},
	v1alpha1.ReasonUnexplained:     {"Nothing accounts for the difference", "The readings differ, and none of the known reasons explains it. Compare them with `kubectl seccomp diff`."},
	v1alpha1.ReasonInterpretation:  {"The profile is none that a runtime would load", "Correct the profile: a runtime refuses to start a container with it."},
}

// rulesOf are the rules that results are of, sorted, each with the gravest level of
// its results.
func rulesOf(results []sarifResult) []sarifRule {
	levels := make(map[string]string)
	for _, r := range results {
		if levels[r.RuleID] != levelError && (levels[r.RuleID] == "" || r.Level != levelNote) {
			levels[r.RuleID] = r.Level
		}
	}
	list := []sarifRule{}
	for _, id := range slices.Sorted(maps.Keys(levels)) {
		rule := sarifRule{
			ID: id, ShortDescription: sarifText{rules[id].short}, FullDescription: sarifText{rules[id].short + "."},
			Help: sarifText{rules[id].help}, HelpURI: homepage + "/blob/main/docs/output.md#sarif",
		}
		rule.DefaultConfiguration.Level = levels[id]
		rule.Properties.Tags = []string{"security", "seccomp"}
		list = append(list, rule)
	}
	return list
}
