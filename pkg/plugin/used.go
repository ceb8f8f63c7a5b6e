package plugin

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
)

// usedFlags say what a profile is like that is made of recorded calls.
type usedFlags struct {
	base      string
	start     bool
	arguments bool
}

func (f *usedFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.base, "base", "", "Profile of OCI or Docker that -o profile and -o seccompprofile extend")
	flags.BoolVar(&f.start, "start", true, "Have -o profile and -o seccompprofile allow what containers call to start")
	f.addArguments(flags)
}

// addArguments registers the flag for what is held to values of arguments.
func (f *usedFlags) addArguments(flags *pflag.FlagSet) {
	flags.BoolVar(&f.arguments, "arguments", false, "Have them allow calls of socket, clone, prctl, ioctl and the like only with the values of the argument that were seen")
}

// printers adds those that write such a profile to a command's own. format is the
// output format that was asked for.
func (f *usedFlags) printers(own map[string]printers.ResourcePrinter, format string, warn func(error)) error {
	if f.base != "" && format != "profile" && format != "seccompprofile" {
		return errors.New("--base: it is what -o profile and -o seccompprofile extend, and goes with nothing else")
	}
	base, err := readBase(f.base)
	if err != nil {
		return err
	}
	used := printer.UsedProfile{Base: base, Start: f.start, Arguments: f.arguments, Warn: warn}
	own["profile"] = used
	used.Resource = true
	own["seccompprofile"] = used
	return nil
}

// readBase reads the profile of --base.
func readBase(file string) (*profile.Profile, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--base: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, profile.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("--base: %w", err)
	}
	p, err := profile.Parse(text)
	if err == nil {
		_, _, err = p.Extended(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("--base %s: %w", file, err)
	}
	return p, nil
}
