# bash completion for PROGRAM; to load it: eval "$(PROGRAM completion bash)"

# Bash splits words at `=` and `:` too, and replaces only the text after the last of them. So words are joined again
# from the line, and the text up to the last `=` or `:` is removed from the candidates. Works from bash 3.2 on (macOS).
_PROGRAM() {
  local rest=${COMP_LINE:0:COMP_POINT} word i n=-1
  local -a words=() args=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if ((n < 0)) || [[ $rest == [[:space:]]* ]]; then
      ((n += 1))
      words[n]=
    fi
    rest=${rest#"${rest%%[![:space:]]*}"}
    word=${COMP_WORDS[i]}
    # Of the last word only the part before the cursor.
    if ((i == COMP_CWORD)); then word=$rest; fi
    words[n]+=$word
    rest=${rest#"$word"}
  done
  for ((i = 1; i <= n; i++)); do args+=("--word=${words[i]}"); done
  local current=${words[n]} kind='' value
  COMPREPLY=()
  while IFS=$'\t' read -r value _; do
    if [[ -z $kind ]]; then
      kind=$value
    else
      COMPREPLY+=("$(printf '%q' "$value")")
    fi
  done < <(PROGRAM complete "${args[@]}" 2>/dev/null)
  if [[ $current == --*=* ]]; then current=${current#*=}; fi
  if [[ $kind == files ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "$current")
  fi
  # `:` and `=` where they split words here.
  local breaks=${COMP_WORDBREAKS//[^:=]/}
  if [[ -n $breaks && $current == *["$breaks"]* ]]; then
    value=${current%"${current##*["$breaks"]}"}
    for ((i = 0; i < ${#COMPREPLY[@]}; i++)); do COMPREPLY[i]=${COMPREPLY[i]#"$value"}; done
  fi
}
complete -F _PROGRAM PROGRAM
