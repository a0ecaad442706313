import { AppError } from '#shared/errors/app-error.ts'

declare const scriptBrand: unique symbol
/** Text for a POSIX shell in which every argument has been quoted. Made by {@link sh} only. */
export type ShellScript = string & { readonly [scriptBrand]: true }

/**
 * The one place where an argument is quoted for a remote POSIX shell (POSIX.1-2017, XCU 2.2.2: nothing is
 * special between single quotes but the quote itself). Throws bad-request on NUL, which no argument can hold.
 */
export function quote(argument: string): ShellScript {
  if (argument.includes('\0'))
    throw new AppError('bad-request', 'An argument for a command contains a NUL character')
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(argument) && !argument.startsWith('-') && !argument.startsWith('='))
    return argument as ShellScript
  return `'${argument.replaceAll("'", `'\\''`)}'` as ShellScript
}

type Value = string | number | readonly (string | number)[]

/**
 * Shell text with quoted values: sh`truncate -s ${bytes} ${path}`. Arrays become several arguments.
 * A part that is shell text already is put in with {@link raw}.
 */
export function sh(parts: TemplateStringsArray, ...values: (Value | RawScript)[]): ShellScript {
  let text = parts[0] ?? ''
  for (const [index, value] of values.entries()) {
    if (value instanceof RawScript) text += value.script
    else if (typeof value === 'string' || typeof value === 'number') text += quote(String(value))
    else text += value.map((item) => quote(String(item))).join(' ')
    text += parts[index + 1] ?? ''
  }
  return text as ShellScript
}

class RawScript {
  readonly script: ShellScript
  constructor(script: ShellScript) {
    this.script = script
  }
}

/** Puts shell text that {@link sh} made into other shell text, unquoted. */
export const raw = (script: ShellScript): RawScript => new RawScript(script)

/** Joins scripts as lines. */
export const lines = (...parts: readonly ShellScript[]): ShellScript => parts.join('\n') as ShellScript
