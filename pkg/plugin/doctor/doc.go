// Package doctor checks what the plugin needs of a cluster and of its nodes: that the
// API server answers, that the user may do what the commands do, that probe pods are
// admitted, and on each node, by a probe, that filters can be read.
//
// Checks are made by doing where that is possible. Permissions are asked of the API
// server, as it alone knows them; a probe pod's creation is tried (dryRun=All); and
// on the node a filter is installed and read back.
package doctor
