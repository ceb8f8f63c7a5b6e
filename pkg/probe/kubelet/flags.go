package kubelet

import (
	"strconv"
	"strings"
)

// flags are those of kubelet's that are used here; what is not given is the zero
// value.
type flags struct {
	root           string
	config         string
	configDir      string
	seccompDefault *bool
}

// parseFlags reads kubelet's arguments as it does: with two dashes, the last of
// a name counts, and a boolean takes its value only after "=".
func parseFlags(args []string) (f flags) {
	for len(args) > 0 && args[0] != "--" {
		name, value, given := strings.Cut(args[0], "=")
		args = args[1:]
		if name == "--seccomp-default" {
			if b, err := strconv.ParseBool(value); err == nil || !given {
				b = b || !given
				f.seccompDefault = &b
			}
			continue
		}
		var to *string
		switch name {
		case "--root-dir":
			to = &f.root
		case "--config":
			to = &f.config
		case "--config-dir":
			to = &f.configDir
		default:
			continue
		}
		if !given {
			if len(args) == 0 {
				break
			}
			value, args = args[0], args[1:]
		}
		*to = value
	}
	return f
}
