#compdef PROGRAM
# zsh completion for PROGRAM; to load it, after compinit: source <(PROGRAM completion zsh)
_PROGRAM() {
  local -a typed lines described
  local line value
  typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
  lines=("${(@f)$(PROGRAM complete "${(@)typed/#/--word=}" 2>/dev/null)}")
  [[ $PREFIX == --*=* ]] && compset -P '--*='
  if [[ $lines[1] == files ]]; then
    _files
    return
  fi
  for line in "${(@)lines[2,-1]}"; do
    value=${line%%$'\t'*}
    # The text before the first colon is the word, the rest its meaning.
    described+=("${value//:/\\:}:${line#*$'\t'}")
  done
  _describe -V PROGRAM described
}
compdef _PROGRAM PROGRAM
