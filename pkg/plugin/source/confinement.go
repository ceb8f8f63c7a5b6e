package source

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/capability"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Confinement is what a probe read of threads, for output.
func Confinement(state *report.State, order binary.ByteOrder) v1alpha1.Confinement {
	names := func(c wire.Caps) []string { return capability.Set(c).Names() }
	out := v1alpha1.Confinement{
		Mode:       state.Mode.String(),
		NoNewPrivs: state.NoNewPrivs,
		Capabilities: v1alpha1.Capabilities{
			Inheritable: names(state.Capabilities.Inheritable),
			Permitted:   names(state.Capabilities.Permitted),
			Effective:   names(state.Capabilities.Effective),
			Bounding:    names(state.Capabilities.Bounding),
			Ambient:     names(state.Capabilities.Ambient),
		},
		FilterCount: state.FilterCount,
	}
	for _, f := range state.Stack {
		hash := sha256.Sum256(f.Encode(order))
		out.Filters = append(out.Filters, hex.EncodeToString(hash[:]))
		out.Instructions += len(f)
	}
	return out
}

// Problems are what a probe could not do, for output.
func Problems(list []wire.Problem) (out []v1alpha1.Problem) {
	for _, p := range list {
		remedy := p.Remedy
		p.Remedy = "" // is not said twice
		out = append(out, v1alpha1.Problem{
			Code: p.Code, Message: terminal.Escape(p.Error()), Remedy: terminal.Escape(remedy), PID: p.PID, TID: p.TID,
		})
	}
	return out
}
