// Package probepod runs probes: one pod on each node that has targets, from its
// creation to a verified report, and away again.
//
// # What is left behind
//
// Nothing, on success, failure, timeout, SIGINT, SIGTERM and SIGHUP. A pod is
// registered for deletion before it is created; its name is chosen here, so that
// one whose creation was not answered is found as well; and only a pod that
// carries this run's label and UID is deleted. What cannot be deleted, as the
// API server is away or a second signal ends the wait, is printed as the command
// that does it. A plugin that is killed leaves a pod that kubelet ends at its
// deadline, and that a later run, or Cleanup, deletes.
//
// # What is waited for
//
// The last frame of the probe's output, in the log, and not the pod's phase:
// kubelets see the end of a container up to a second late. A log that breaks
// before that frame is read again as a whole once the container has ended. What
// then is not complete and verified is an error.
package probepod
