package plugin

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/complete"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// completePrefix begins the name of the program that kubectl asks what a plugin's
// command line can become: kubectl_complete-seccomp for kubectl-seccomp.
const completePrefix = "kubectl_complete-"

// completesFor tells whether a program's name is that of kubectl's question, and
// returns the name of the plugin that it is about.
func completesFor(arg0 string) (plugin string, ok bool) {
	name, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(arg0), ".exe"), completePrefix)
	return "kubectl-" + name, ok
}

func newCompletionCommand(name string) *cobra.Command {
	shells := map[string]func(*cobra.Command) error{
		"bash":       func(cmd *cobra.Command) error { return cmd.Root().GenBashCompletionV2(cmd.OutOrStdout(), true) },
		"zsh":        func(cmd *cobra.Command) error { return cmd.Root().GenZshCompletion(cmd.OutOrStdout()) },
		"fish":       func(cmd *cobra.Command) error { return cmd.Root().GenFishCompletion(cmd.OutOrStdout(), true) },
		"powershell": func(cmd *cobra.Command) error { return cmd.Root().GenPowerShellCompletionWithDesc(cmd.OutOrStdout()) },
	}
	return &cobra.Command{
		Use:                   "completion bash|zsh|fish|powershell",
		DisableFlagsInUseLine: true,
		Short:                 "Print the completion script of a shell",
		Long: `Print the script by which a shell completes command lines of kubectl-seccomp: pods,
workloads, containers behind ":", nodes, syscalls, parameters and values of flags.

That is for the plugin run by its own name. For "kubectl seccomp", kubectl completes
what it finds a program named kubectl_complete-seccomp for. The plugin is that
program, too, if it has the name: beside a kubectl with completion of its own, one
link is all there is to do.

  ln -s kubectl-seccomp "$(dirname "$(command -v kubectl-seccomp)")/kubectl_complete-seccomp"

On Windows, copy kubectl-seccomp.exe to kubectl_complete-seccomp.exe.`,
		Example: examples(name,
			`# In this shell, for kubectl-seccomp`,
			`source <(kubectl seccomp completion bash)`,
			`# In every fish`,
			`kubectl seccomp completion fish >~/.config/fish/completions/kubectl-seccomp.fish`),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && shells[args[0]] != nil {
				return nil
			}
			return fmt.Errorf("completion: want one of bash, zsh, fish and powershell; see `%s --help`", cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error { return shells[args[0]](cmd) },
	}
}

// completions registers what operands and flags of all commands can be.
func (c *common) completions(root *cobra.Command) {
	root.CompletionOptions.DisableDefaultCmd = true
	cluster := complete.Cluster{Getter: c.config}
	operands, values := operandCompletions(cluster), c.flagValues(cluster)
	completeFlags(root, root.PersistentFlags(), values)
	for _, cmd := range root.Commands() {
		if f := operands[cmd.Name()]; f != nil {
			cmd.ValidArgsFunction = f
		} else if cmd.ValidArgs == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		completeFlags(cmd, cmd.Flags(), values)
	}
}

// operandCompletions are those of commands, by their names.
func operandCompletions(cluster complete.Cluster) map[string]cobra.CompletionFunc {
	sources := func(most int) cobra.CompletionFunc {
		return operandsOf(most, cluster.Source)
	}
	pods := operandsOf(0, cluster.PodOperand)
	podsAndNodes := operandsOf(0, func(word string) complete.Answer {
		if a := cluster.NodeOperand(word, ""); len(a.Words) > 0 && strings.Contains(word, "/") {
			return a
		}
		return cluster.PodOperand(word)
	})
	return map[string]cobra.CompletionFunc{
		"dump":    sources(0),
		"diff":    sources(2),
		"explain": completeExplain(sources(1)),
		"tighten": sources(1),
		"verify":  pods,
		"record":  pods,
		"denials": pods,
		"list":    podsAndNodes,
		"merge": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		"doctor": operandsOf(0, func(word string) complete.Answer {
			return complete.Answer{Words: cluster.Names(complete.Nodes, "", word)}
		}),
	}
}

// operandsOf completes operands, of which there may be no more than most; 0 is no
// limit. What is there already is not offered again.
func operandsOf(most int, find func(word string) complete.Answer) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		a := find(word)
		words := slices.DeleteFunc(a.Words, func(w string) bool { return slices.Contains(args, w) })
		return words, directive(a)
	}
}

func directive(a complete.Answer) cobra.ShellCompDirective {
	var d cobra.ShellCompDirective
	if !a.Files {
		d |= cobra.ShellCompDirectiveNoFileComp
	}
	if a.Open {
		d |= cobra.ShellCompDirectiveNoSpace
	}
	return d
}

// completeExplain completes a source, a syscall, and its arguments.
func completeExplain(source cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		abis := syscalls.ABIs()
		if flag := cmd.Flag("abi"); flag != nil && flag.Changed {
			abi, err := syscalls.ParseABI(flag.Value.String())
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			abis = []syscalls.ABI{abi}
		}
		switch len(args) {
		case 0:
			return source(cmd, args, word)
		case 1:
			return syscallNames(abis, word), cobra.ShellCompDirectiveNoFileComp
		}
		i := slices.IndexFunc(abis, func(abi syscalls.ABI) bool { _, ok := abi.Number(args[1]); return ok })
		if i < 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeArgument(abis[i], args[1], word)
	}
}

// completeArgument completes NAME=VALUE, values joined by "|".
func completeArgument(abi syscalls.ABI, call, word string) (words []string, d cobra.ShellCompDirective) {
	d = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	params := abi.Params(call)
	name, value, ok := strings.Cut(word, "=")
	if !ok {
		for _, p := range params {
			if strings.HasPrefix(p.Name, word) {
				words = append(words, p.Name+"="+"\t"+p.Type)
			}
		}
		return words, d
	}
	i := findParam(params, name)
	if i < 0 || i >= len(params) {
		return nil, d
	}
	flags := abi.Flags(call, params[i].Name)
	if flags == nil {
		return nil, d
	}
	given, last := word[:len(word)-len(value)], value
	if i := strings.LastIndexByte(value, '|'); i >= 0 {
		given, last = given+value[:i+1], value[i+1:]
	}
	for _, f := range slices.Concat(flags.Bits, flags.Values) {
		if strings.HasPrefix(f.Name, last) {
			words = append(words, given+f.Name)
		}
	}
	return words, d
}

// syscallNames are the names that begin with a prefix in some ABI, each once.
func syscallNames(abis []syscalls.ABI, prefix string) (names []string) {
	for _, abi := range abis {
		for _, call := range abi.Table() {
			if strings.HasPrefix(call.Name, prefix) {
				names = append(names, call.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
