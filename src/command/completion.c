/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts. Each only hands the words so far to the program that is being typed, by its hidden command __complete,
 * and shows what comes back: so all three complete the same, from the verb table and the catalogue, and can't be outdated.
 */
#include "command/completion.h"

#include "base/mem.h"

#include <string.h>

/* bash splits words at '=' and ':' (COMP_WORDBREAKS); ours are put together again, and what it would not replace is cut off. */
static const char bash[] =
        "# bash completion for cowherd: what could come next is asked of the program itself\n"
        "_cowherd() {\n"
        "        local line=${COMP_LINE:0:COMP_POINT} word words=() current before candidate IFS=$' \\t\\n'\n"
        "        local i\n"
        "        for ((i = 0; i <= COMP_CWORD; i++)); do\n"
        "                word=${COMP_WORDS[i]}\n"
        "                if [[ $i -eq 0 || $line == [[:blank:]]* ]]; then\n"
        "                        words+=(\"\")\n"
        "                fi\n"
        "                line=${line#\"${line%%[![:blank:]]*}\"}\n"
        "                ((i < COMP_CWORD)) || word=$line\n"
        "                words[${#words[@]}-1]+=$word\n"
        "                line=${line#\"$word\"}\n"
        "        done\n"
        "        current=${words[${#words[@]}-1]}\n"
        "        before=\n"
        "        [[ $COMP_WORDBREAKS != *=* || $current != *=* ]] || before=${current%\"${current##*=}\"}\n"
        "        [[ $COMP_WORDBREAKS != *:* || $current != *:* ]] || before=${current%\"${current##*[=:]}\"}\n"
        "        local paths=\n"
        "        COMPREPLY=()\n"
        "        while IFS= read -r candidate; do\n"
        "                candidate=${candidate%%$'\\t'*}\n"
        "                case $candidate in\n"
        "                :folders) paths=-d ;;\n"
        "                :files) paths=-f ;;\n"
        "                *=) COMPREPLY+=(\"${candidate#\"$before\"}\") ;;\n"
        "                *) COMPREPLY+=(\"${candidate#\"$before\"} \") ;;\n"
        "                esac\n"
        "        done < <(\"${1/#\\~/$HOME}\" __complete \"${words[@]:1}\" 2>/dev/null)\n"
        "        [[ ${#COMPREPLY[@]} -eq 0 ]] || compopt -o nospace 2>/dev/null\n"
        "        [[ -z $paths ]] || _cowherd_paths\n"
        "}\n"
        "# Adds paths for the value in $current, as bash wants them; it would quote a key's '=' among them.\n"
        "_cowherd_paths() {\n"
        "        local path key= value=$current alone=${#COMPREPLY[@]}\n"
        "        [[ $current != *=* ]] || { key=${current%%=*}=; value=${current#*=}; }\n"
        "        [[ $alone -ne 0 ]] || compopt -o filenames 2>/dev/null\n"
        "        while IFS= read -r path; do\n"
        "                candidate=$key$path\n"
        "                candidate=${candidate#\"$before\"}\n"
        "                if [[ $alone -ne 0 && -d $path ]]; then candidate+=/; elif [[ $alone -ne 0 ]]; then candidate+=' '; fi\n"
        "                COMPREPLY+=(\"$candidate\")\n"
        "        done < <(compgen $paths -- \"$value\")\n"
        "}\n"
        "complete -F _cowherd cowherd\n";

static const char zsh[] =
        "#compdef cowherd\n"
        "# zsh completion for cowherd: what could come next is asked of the program itself\n"
        "_cowherd() {\n"
        "        local line word about paths\n"
        "        local -a plain plain_shown open open_shown\n"
        "        for line in \"${(@f)$(\"${words[1]/#\\~/$HOME}\" __complete \"${(@Q)words[2,CURRENT-1]}\" \"${(Q)PREFIX}\" 2>/dev/null)}\"; do\n"
        "                word=${line%%$'\\t'*}\n"
        "                about=$word\n"
        "                [[ $line != *$'\\t'* ]] || about=\"$word  -- ${line#*$'\\t'}\"\n"
        "                case $word in\n"
        "                '') ;;\n"
        "                :folders|:files) paths=$word ;;\n"
        "                *=) open+=(\"$word\"); open_shown+=(\"$about\") ;;\n"
        "                *) plain+=(\"$word\"); plain_shown+=(\"$about\") ;;\n"
        "                esac\n"
        "        done\n"
        "        (( ! $#plain )) || compadd -l -d plain_shown -a plain\n"
        "        (( ! $#open )) || compadd -l -S '' -d open_shown -a open\n"
        "        if [[ -n $paths ]]; then\n"
        "                compset -P '*='\n"
        "                if [[ $paths == :folders ]]; then _path_files -/; else _path_files; fi\n"
        "        fi\n"
        "        (( compstate[nmatches] ))\n"
        "}\n"
        "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _cowherd \"$@\"; else compdef _cowherd cowherd; fi\n";

static const char fish[] =
        "# fish completion for cowherd: what could come next is asked of the program itself\n"
        "function __cowherd_complete\n"
        "    set -l words (commandline -opc)\n"
        "    set -l current (commandline -ct)\n"
        "    set -l program (string replace -r '^~' $HOME -- $words[1])\n"
        "    for line in ($program __complete $words[2..-1] $current 2>/dev/null)\n"
        "        switch $line\n"
        "            case ':folders' ':files'\n"
        "                set -l key (string match -r '^[^=]*=' -- $current)\n"
        "                set -l value (string replace -r '^[^=]*=' '' -- $current)\n"
        "                for path in (__fish_complete_path $value)\n"
        "                    test $line = ':folders'; and not string match -qr '/(\\t|$)' -- $path; and continue\n"
        "                    echo $key$path\n"
        "                end\n"
        "            case '*'\n"
        "                echo $line\n"
        "        end\n"
        "    end\n"
        "end\n"
        "complete -c cowherd -f -a '(__cowherd_complete)'\n";

static const struct {
        const char *shell, *script;
} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

const char *completion_script(const char *shell)
{
        for (size_t i = 0; i < array_length(scripts); i++)
                if (strcmp(scripts[i].shell, shell) == 0)
                        return scripts[i].script;
        return NULL;
}
