// Package local reads processes and Docker containers of the machine that the
// plugin itself runs on, without a cluster.
//
// It is the probe's own code that reads (package probe), in this process, and what
// it writes is read and verified as the log of a probe pod is (package report). So
// there is one way to read filters, and nothing is taken for granted here that is
// not there.
package local
