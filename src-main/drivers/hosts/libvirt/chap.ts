import type { ChapLogin } from '#shared/domain/storage.ts'
import { lines, sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { exit } from './exit-codes.ts'

/**
 * `chap_user`: empty where the host logs in with its name alone; `chap_secret`: read from standard input, so that it is
 * in no argument and no plan, and never exported.
 * `with_login COMMAND...`: runs a program of libiscsi's with the login in its environment, where it wants it.
 * `refused WORDS`: fails when these are an initiator's words for a login that was refused.
 */
export const chapFunctions = (login: ChapLogin | undefined): ShellScript =>
  lines(
    login === undefined
      ? sh`chap_user= chap_secret=`
      : sh`chap_user=${login.user}
IFS= read -r chap_secret # the secret of the login: on standard input, not shown`,
    sh`with_login() {
  [ -n "$chap_user" ] || { "$@"; return; }
  LIBISCSI_CHAP_USERNAME=$chap_user LIBISCSI_CHAP_PASSWORD=$chap_secret "$@"
}
refused() {
  case $1 in
  *'Authentication failure('* | *'login failed due to authorization failure'*) ;;
  *) return 0 ;;
  esac
  [ -n "$chap_user" ] || fail ${exit.chapWanted} "$1"
  fail ${exit.chapRefused} "user $chap_user: $1"
}`,
  )
