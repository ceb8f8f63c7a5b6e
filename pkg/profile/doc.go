// Package profile interprets seccomp profiles: what a JSON or YAML file comes
// to in the kernel when a given runtime starts a container with it.
//
// One file means different things to different readers, and says nothing when
// it does. So interpretation goes in the steps of the real one:
//
//  1. [Parse] reads the file, refuses what nobody takes, with its position.
//  2. [Profile.Load] first does what the container runtime does with it:
//     containerd's CRI plugin takes what has a place in the OCI structure and
//     drops the rest (contrib/seccomp); Docker evaluates includes, excludes,
//     minKernel and archMap (github.com/moby/profiles/seccomp); CRI-O and Podman
//     know names of errors besides, and no minKernel
//     (github.com/containers/common/pkg/seccomp).
//  3. Then what runc (libcontainer/specconv and libcontainer/seccomp) or crun
//     (src/libcrun/seccomp.c) ask of libseccomp, and libseccomp of the kernel:
//     the result is rules for each ABI, and the filter that is their plain
//     meaning, with runc's ENOSYS stub in front.
//
// What a reader ignores silently is a [Warning].
//
// # Exactness
//
// The filter is not the one that libseccomp would write, and does the same. That
// holds for all rules of one call that do not compete with each other; where
// they do, libseccomp's tree of comparisons does not always have the meaning of
// the rules it was made from, nor the same one in each version (CVE-2019-9893
// was of this kind). Such calls are listed in [Loaded.Dependent]: only the live
// filter tells. See [Dependent] for where the line is.
//
// The rules were found by reading those projects' sources, and are held by tests
// against the compiler (libseccomp) and against live containers of runc and crun.
package profile
