// Package plugin is the kubectl plugin: its commands, from their flags to what
// they print.
//
// A command reads the sources that its operands name (package source). Those that
// are running containers it finds in the cluster (package target), and has a probe
// pod on each of their nodes read what confines them (package probepod). What the
// sources' policies come to it turns into a kind of package v1alpha1, and prints
// that: for a person (package printer), or as JSON, YAML or through a template.
package plugin
