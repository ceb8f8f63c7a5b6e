// Package plugin is the kubectl plugin: its commands, from their flags to what
// they print.
//
// A command resolves its operands to running containers (package target), has a
// probe pod on each of their nodes read what confines them (package probepod),
// turns what came back into a kind of package v1alpha1, and prints that: for a
// person (package printer), or as JSON, YAML or through a template.
package plugin
