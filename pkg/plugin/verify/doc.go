// Package verify holds three readings of a container's seccomp profile against
// each other:
//
//		declared ──→ configured ──→ enforced
//
//	  - declared is what the pod's specification asks for: for RuntimeDefault, what
//	    the node's runtime gives a container with the same capabilities, which is
//	    started for the purpose; for Localhost, the file as it lies on the node now;
//	  - configured is what the OCI runtime was told, by the config.json that it
//	    started the container with;
//	  - enforced is what the kernel holds of the container's threads.
//
// All three are brought into policies, so that an arrow is a proof: identical,
// tighter, looser. Where it is not identical the package looks for the reason, and
// takes one for it only if it accounts for the whole difference: a profile read as
// another program reads it must give exactly the policy that was found, the oldest
// filter of a stack must be exactly the configured one. What no reason accounts
// for is said to be unexplained.
//
// # What holds
//
// An arrow holds if its ends are identical. The one from configured to enforced
// holds as well if every difference is explained by filters of the application's
// own, which can only tighten; by the OCI runtime's interpretation; or by the
// node's libseccomp, that does not know a name or arranges competing rules; and if
// none of it gives a call more access. Strict has none of these hold.
//
// An arrow is unknown where something is missing that could keep it from holding: a
// reading, a thread, or an end to what a filter computes.
//
// # Approximations
//
// Which OCI runtime read the profile is told by the name of its program, and where
// that says nothing, by which interpretation fits. That libseccomp does not know a
// name is inferred: from exactly the calls that are newer than others having the
// profile's default action, and the rest being as configured.
package verify
