# bash completion for flowtrail; made by: flowtrail completion bash
_flowtrail() {
  local cur prev words='' files=''
  cur=${COMP_WORDS[COMP_CWORD]}
  prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  # --flag=value comes as three words.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' && $COMP_CWORD -ge 2 ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W 'observe status losses ledger doctor token completion version help --help --version' -- "$cur"))
    return
  fi
  case ${COMP_WORDS[1]},$prev in
    observe,--server) : ;;
    observe,--agent) files=1 ;;
    observe,--ca-file) files=1 ;;
    observe,--input-file) files=1 ;;
    observe,--last) : ;;
    observe,--first) : ;;
    observe,--since) : ;;
    observe,--until) : ;;
    observe,--ip) : ;;
    observe,--from-ip) : ;;
    observe,--to-ip) : ;;
    observe,--port) : ;;
    observe,--from-port) : ;;
    observe,--to-port) : ;;
    observe,--protocol) : ;;
    observe,--type|observe,-t) : ;;
    observe,--traffic-direction) : ;;
    observe,--node-name) : ;;
    observe,--process) : ;;
    observe,--filter) : ;;
    observe,--output|observe,-o) words='compact table dict json jsonpb' ;;
    observe,--time-format) words='short rfc3339' ;;
    observe,--color) words='auto always never' ;;
    status,--server) : ;;
    status,--agent) files=1 ;;
    status,--ca-file) files=1 ;;
    status,--output|status,-o) words='table json' ;;
    status,--interval) : ;;
    status,--color) words='auto always never' ;;
    losses,--server) : ;;
    losses,--agent) files=1 ;;
    losses,--ca-file) files=1 ;;
    losses,--since) : ;;
    losses,--until) : ;;
    losses,--node-name) : ;;
    losses,--output|losses,-o) words='table json' ;;
    ledger,--server) : ;;
    ledger,--agent) files=1 ;;
    ledger,--ca-file) files=1 ;;
    ledger,--node-name) : ;;
    ledger,--output|ledger,-o) words='table json' ;;
    doctor,--server) : ;;
    doctor,--agent) files=1 ;;
    doctor,--ca-file) files=1 ;;
    doctor,--url) : ;;
    doctor,--token-file) files=1 ;;
    doctor,--output|doctor,-o) words='table json' ;;
    doctor,--color) words='auto always never' ;;
    token,--out) files=1 ;;
    token,--agent-id) : ;;
    token,--role) words='agent query admin' ;;
    version,--server) : ;;
    version,--agent) files=1 ;;
    version,--ca-file) files=1 ;;
    help,*) words='observe status losses ledger doctor token completion version' ;;
    *)
      case ${COMP_WORDS[1]} in
        observe) words='--help --help-all --server --agent --ca-file --input-file --follow --last --first --all --since --until --ip --from-ip --to-ip --port --from-port --to-port --protocol --type --traffic-direction --node-name --process --filter --ipv4 --ipv6 --not --output --time-format --color' ;;
        status) words='--help --help-all --server --agent --ca-file --output --watch --interval --color' ;;
        losses) words='--help --help-all --server --agent --ca-file --since --until --node-name --output' ;;
        ledger) words='--help --help-all --server --agent --ca-file --node-name --detail --output' ;;
        doctor) words='--help --help-all --server --agent --ca-file --url --token-file --output --color' ;;
        token) words='--help --help-all --out --agent-id --role' ;;
        completion) words='--help --help-all bash zsh fish' ;;
        version) words='--help --help-all --server --agent --ca-file' ;;
      esac ;;
  esac
  if [[ -n $files ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _flowtrail flowtrail
