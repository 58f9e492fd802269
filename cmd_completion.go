package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

const bashCompletion = `_remora() {
  local cur="${COMP_WORDS[COMP_CWORD]}" line=("${COMP_WORDS[@]:0:$COMP_CWORD}")
  [[ "$cur" == -* ]] && line+=("$cur")
  COMPREPLY=($(compgen -W "$("${line[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o default -F _remora remora
`

const zshCompletion = "autoload -U +X bashcompinit && bashcompinit\n" + bashCompletion

const powershellCompletion = `Register-ArgumentCompleter -Native -CommandName remora -ScriptBlock {
  param($word, $ast, $position)
  $line = @($ast.CommandElements | ForEach-Object { $_.ToString() })
  if ($word -and -not $word.StartsWith('-')) { $line = $line[0..($line.Count - 2)] }
  $rest = @($line | Select-Object -Skip 1) + '--generate-bash-completion'
  & $line[0] @rest 2>$null | Where-Object { $_ -like "$word*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion script of a shell: bash, zsh, fish or powershell",
		ArgsUsage: "SHELL",
		Description: `EXAMPLES:
   remora completion bash > /etc/bash_completion.d/remora
   remora completion fish > ~/.config/fish/completions/remora.fish`,
		Action: func(c *cli.Context) error {
			script, err := completionScript(c.App, c.Args().First())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(p.stdout, script)
			return err
		},
	}
}

func completionScript(app *cli.App, shell string) (string, error) {
	switch shell {
	case "bash":
		return bashCompletion, nil
	case "zsh":
		return zshCompletion, nil
	case "fish":
		return app.ToFishCompletion()
	case "powershell":
		return powershellCompletion, nil
	}
	return "", misuse("which shell? bash, zsh, fish or powershell, not %q", shell)
}
