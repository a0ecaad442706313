/** A text stream to the person or to another program. */
export interface TextOutput {
  /** Writes as it is; text from devices goes through `printable` first. */
  write(text: string): void
  readonly isTerminal: boolean
  /** Size of the terminal in characters; undefined: not a terminal. */
  readonly columns: number | undefined
  readonly rows: number | undefined
}

/** Everything that the command line touches of the process that it runs in. */
export interface CliIo {
  readonly out: TextOutput
  readonly err: TextOutput
  readonly env: NodeJS.ProcessEnv
  readonly platform: NodeJS.Platform
  readonly home: string
  /** Whether there is a person to ask. */
  readonly canAsk: boolean
  /** True while a question stands on the terminal: nothing else may be drawn. */
  isAsking(): boolean
  /** One question at a time. undefined: no person, or end of input. Throws cancelled on Ctrl-C. */
  ask(question: string, options: { hidden: boolean }, signal: AbortSignal): Promise<string | undefined>
  /** Ctrl-C and a request to end. Without a listener they end the process. Returns the function that ends it. */
  onInterrupt(listener: () => void): () => void
  /** Ends the process at once, whatever is under way. */
  exitNow(code: number): void
}

/** Text with control characters made visible: what a device says cannot drive the terminal. Keeps line breaks and tabs. */
export const printable = (text: string): string =>
  text.replaceAll(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\x${character.codePointAt(0)?.toString(16).padStart(2, '0')}`,
  )
