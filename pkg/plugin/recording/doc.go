// Package recording reads recordings of calls that were saved, and merges them.
//
// A recording is a set of runs. To merge recordings is the union of their sets, in
// which a run that several of them have is once: so it does not matter in which order
// they are merged, in how many steps, or how often. What is printed of several runs
// together is worked out from them, and never read.
package recording
