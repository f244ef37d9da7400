#compdef flowtrail
# zsh completion for flowtrail; made by: flowtrail completion zsh
_flowtrail() {
  local -a commands
  commands=(
    'observe:Show flows, live or stored.'
    'status:How agent or collector are\: a row per component, and the account.'
    'losses:What is missing from the trail\: when, how much, why.'
    'ledger:Where each agent'\''s events are, and whether that adds up.'
    'doctor:Find what would lose flows on this host and on the way to the collector.'
    'token:Make a token for an agent, and the line for the collector'\''s token file.'
    'completion:Write the completion script for bash, zsh or fish.'
    'version:Show the version; with --server also the collector'\''s.'
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
    help)
      _describe command commands ;;
    observe)
      _arguments \
        '*--server=[Ask the collector at this address instead of the agent of this host; also from FLOWTRAIL_SERVER.]:value: ' \
        '*--agent=[Socket of the agent.]:file:_files' \
        '*--ca-file=[Certificates (PEM) to trust for https.]:file:_files' \
        '*--input-file=[Show rows that "observe -o json" has written, instead of asking; - is standard input.]:file:_files' \
        '*--follow[Stay and show flows as they come, until Ctrl-C.]' \
        '*-f[Stay and show flows as they come, until Ctrl-C.]' \
        '*--last=[The newest N; 20 unless something else is asked for.]:value: ' \
        '*--first=[The oldest N.]:value: ' \
        '*--all[All flows, however many there are.]' \
        '*--since=[From this time on\: RFC 3339, or how long ago ("10m", "2h30m").]:value: ' \
        '*--until=[Before this time.]:value: ' \
        '*--ip=[Address or range of either end, also before or behind NAT.]:value: ' \
        '*--from-ip=[Address or range of the source.]:value: ' \
        '*--to-ip=[Address or range of the destination.]:value: ' \
        '*--port=[Port or range ("1000-2000") of either end.]:value: ' \
        '*--from-port=[Port or range of the source.]:value: ' \
        '*--to-port=[Port or range of the destination.]:value: ' \
        '*--protocol=[tcp, udp, icmp, icmpv6, sctp, or a number.]:value: ' \
        '*--type=[start, update, end, drop or loss.]:value: ' \
        '*-t[start, update, end, drop or loss.]:value: ' \
        '*--traffic-direction=[ingress, egress, local or forwarded.]:value: ' \
        '*--node-name=[Agent\: the name of its host, "web-*" for all that begin so, or its id.]:value: ' \
        '*--process=[Process; "ngin*" for all that begin so.]:value: ' \
        '*--filter=[Any other column of the API.]:value: ' \
        '*--ipv4[IPv4 only.]' \
        '*-4[IPv4 only.]' \
        '*--ipv6[IPv6 only.]' \
        '*-6[IPv6 only.]' \
        '*--not[What matches the filter behind it is left out\: --not --port 53.]' \
        '*--output=[Form of the rows; json is one object a line.]:value:(compact table dict json jsonpb)' \
        '*-o[Form of the rows; json is one object a line.]:value:(compact table dict json jsonpb)' \
        '*--time-format=[Form of times, in UTC.]:value:(short rfc3339)' \
        '*--color=[Colour\: auto is on a terminal only.]:value:(auto always never)' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
    status)
      _arguments \
        '*--server=[Ask the collector at this address instead of the agent of this host; also from FLOWTRAIL_SERVER.]:value: ' \
        '*--agent=[Socket of the agent.]:file:_files' \
        '*--ca-file=[Certificates (PEM) to trust for https.]:file:_files' \
        '*--output=[Form of the answer; json is the answer as it came.]:value:(table json)' \
        '*-o[Form of the answer; json is the answer as it came.]:value:(table json)' \
        '*--watch[Ask again and again, until Ctrl-C.]' \
        '*-w[Ask again and again, until Ctrl-C.]' \
        '*--interval=[How often, with --watch.]:value: ' \
        '*--color=[Colour\: auto is on a terminal only.]:value:(auto always never)' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
    losses)
      _arguments \
        '*--server=[Ask the collector at this address instead of the agent of this host; also from FLOWTRAIL_SERVER.]:value: ' \
        '*--agent=[Socket of the agent.]:file:_files' \
        '*--ca-file=[Certificates (PEM) to trust for https.]:file:_files' \
        '*--since=[From this time on\: RFC 3339, or how long ago.]:value: ' \
        '*--until=[Before this time.]:value: ' \
        '*--node-name=[Agent\: the name of its host, "web-*" for all that begin so, or its id.]:value: ' \
        '*--output=[Form of the answer; json is one object a line.]:value:(table json)' \
        '*-o[Form of the answer; json is one object a line.]:value:(table json)' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
    ledger)
      _arguments \
        '*--server=[Ask the collector at this address instead of the agent of this host; also from FLOWTRAIL_SERVER.]:value: ' \
        '*--agent=[Socket of the agent.]:file:_files' \
        '*--ca-file=[Certificates (PEM) to trust for https.]:file:_files' \
        '*--node-name=[Agent\: the name of its host, "web-*" for all that begin so, or its id.]:value: ' \
        '*--detail[Below each row what both sides have counted, and losses by cause.]' \
        '*-d[Below each row what both sides have counted, and losses by cause.]' \
        '*--output=[Form of the answer; json is the answer as it came, a line for each 1000 instances.]:value:(table json)' \
        '*-o[Form of the answer; json is the answer as it came, a line for each 1000 instances.]:value:(table json)' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
    doctor)
      _arguments \
        '*--server=[Ask the collector at this address instead of the agent of this host; also from FLOWTRAIL_SERVER.]:value: ' \
        '*--agent=[Socket of the agent.]:file:_files' \
        '*--ca-file=[Certificates (PEM) to trust for https.]:file:_files' \
        '*--url=[Where agents send to\: the agent'\''s collector.url, which is asked for unless given here.]:value: ' \
        '*--token-file=[The agent'\''s collector.token_file, in the same way.]:file:_files' \
        '*--output=[Form of the answer.]:value:(table json)' \
        '*-o[Form of the answer.]:value:(table json)' \
        '*--color=[Colour\: auto is on a terminal only.]:value:(auto always never)' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
    token)
      _arguments \
        '*--out=[Write the token to FILE (mode 0600), which must not exist, instead of showing it on standard error.]:file:_files' \
        '*--agent-id=[UUID of the only agent that may use it.]:value: ' \
        '*--role=[What it allows\: agents send flows, query reads them.]:value:(agent query admin)' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
    completion)
      _arguments \
        '1:operand:(bash zsh fish)' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
    version)
      _arguments \
        '*--server=[Ask the collector at this address instead of the agent of this host; also from FLOWTRAIL_SERVER.]:value: ' \
        '*--agent=[Socket of the agent.]:file:_files' \
        '*--ca-file=[Certificates (PEM) to trust for https.]:file:_files' \
        '--help-all[Show every option]' \
        '(-h --help)'{-h,--help}'[Show help]' ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _flowtrail "$@"
else
  compdef _flowtrail flowtrail
fi
