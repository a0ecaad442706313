import ssh2 from 'ssh2'
import type {
  AnyAuthMethod,
  AuthHandlerMiddleware,
  IdentityCallback,
  NextAuthHandler,
  ParsedKey,
  Prompt,
  SignCallback,
  SigningRequestOptions,
} from 'ssh2'
import { AppError } from '#shared/errors/app-error.ts'
import type { SecretRequest } from './contract.ts'
import { fileIdentity, isSameKey, listAgentKeys, loadKeyFile, openKey, usualKeyFiles } from './identities.ts'
import type { Identity, KeyFile } from './identities.ts'
import type { Hop } from './route.ts'
import type { SecretMemory } from './secrets.ts'

const maxQuestions = 3

/** The one key of an attempt; ssh2 asks for the signature only after the server has said that it takes this key. */
class OneKey extends ssh2.BaseAgent<ParsedKey> {
  readonly #identity: Identity
  readonly #open: (file: KeyFile) => Promise<ParsedKey>
  readonly #onFailure: (error: unknown) => void

  constructor(
    identity: Identity,
    open: (file: KeyFile) => Promise<ParsedKey>,
    onFailure: (error: unknown) => void,
  ) {
    super()
    this.#identity = identity
    this.#open = open
    this.#onFailure = onFailure
  }

  override getIdentities(done: IdentityCallback<ParsedKey>): void {
    done(undefined, [this.#identity.publicKey])
  }

  override sign(
    publicKey: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    done?: SignCallback,
  ): void {
    const callback = typeof options === 'function' ? options : done
    const { hash } = typeof options === 'function' ? {} : options
    const deliver = async (): Promise<void> => {
      const result = await this.#sign(publicKey, data, hash).catch((error: unknown) => error)
      if (Buffer.isBuffer(result)) {
        callback?.(undefined, result)
        return
      }
      this.#onFailure(result)
      callback?.(result instanceof Error ? result : new Error(String(result)))
    }
    void deliver()
  }

  async #sign(publicKey: ParsedKey, data: Buffer, hash: SigningRequestOptions['hash']): Promise<Buffer> {
    const { source } = this.#identity
    if (source.from === 'agent')
      return await new Promise((resolve, reject) => {
        source.agent.sign(publicKey, data, hash === undefined ? {} : { hash }, (error, signature) => {
          if (signature === undefined) reject(error ?? new Error('the agent does not sign'))
          else resolve(signature)
        })
      })
    const key = await this.#open(source)
    const signature: unknown = key.sign(data, hash)
    if (Buffer.isBuffer(signature)) return signature
    throw signature instanceof Error ? signature : new Error('the key does not sign')
  }
}

export interface AuthOptions {
  readonly hop: Hop
  readonly homeDir: string
  readonly secrets: SecretMemory
  readonly signal: AbortSignal
  /** Told before and after a question to the user, who may take his time. */
  readonly onQuestion: (isOpen: boolean) => void
}

/**
 * Logs in to one server. The order: what needs no proof, key files that are named, the agent's keys, the usual key
 * files, the password, questions of the server. A key that is both in a file and in the agent is signed by the agent.
 */
export class Authenticator {
  /** What was tried or could not be, in order, for the user. */
  readonly tried: string[] = []
  /** What the server would take. */
  methodsLeft: readonly string[] = []
  readonly #options: AuthOptions
  #keepSecret: (() => void) | undefined
  #refusedPassword: string | undefined

  constructor(options: AuthOptions) {
    this.#options = options
  }

  /** For ssh2's `authHandler`. */
  handler(): AuthHandlerMiddleware {
    const attempts = this.#attempts()
    const advance = async (): Promise<AnyAuthMethod | false> => {
      try {
        const { done, value } = await attempts.next()
        return done === true ? false : value
      } catch (error) {
        this.failure = error
        return false
      }
    }
    return (methodsLeft: readonly string[] | null, _isPartial: boolean | null, next: NextAuthHandler) => {
      if (methodsLeft !== null) this.methodsLeft = methodsLeft
      const proceed = async (): Promise<void> => {
        // The types do not know that ssh2 takes false for "no more".
        next((await advance()) as AnyAuthMethod)
      }
      void proceed()
    }
  }

  /** Why the attempts ended before all were made: a secret that could not be had, a cancelled question. */
  failure: unknown

  /** The login has worked: its secrets may be used again. */
  succeeded(): void {
    this.#keepSecret?.()
  }

  async *#attempts(): AsyncGenerator<AnyAuthMethod, void, void> {
    const username = this.#options.hop.user
    yield { type: 'none', username }
    if (this.#takes('publickey'))
      for await (const identity of this.#identities()) {
        if (!this.#takes('publickey')) break
        let reason = 'refused'
        const note = (error: unknown): void => {
          reason = error instanceof Error ? error.message : String(error)
        }
        yield { type: 'agent', username, agent: new OneKey(identity, (file) => this.#openFile(file), note) }
        this.tried.push(`${identity.label}: ${reason}`)
      }
    if (this.#takes('password')) yield* this.#passwords(username)
    if (this.#takes('keyboard-interactive')) {
      yield { type: 'keyboard-interactive', username, prompt: (...question) => this.#answer(question) }
      this.tried.push('questions of the server (keyboard-interactive): refused')
    }
  }

  #takes(method: string): boolean {
    return this.methodsLeft.includes(method)
  }

  async *#identities(): AsyncGenerator<Identity, void, void> {
    const { hop, homeDir } = this.#options
    const inAgent = await this.#agentKeys()
    const offered: Identity[] = []
    const isNew = (identity: Identity): boolean => !offered.some((other) => isSameKey(identity, other))
    const fromFiles = hop.identityFiles ?? (hop.identitiesOnly ? usualKeyFiles(homeDir) : [])
    for (const file of fromFiles) {
      const identity = await this.#fromFile(file, hop.identityFiles !== undefined)
      if (identity === undefined || !isNew(identity)) continue
      offered.push(identity)
      yield inAgent.find((other) => isSameKey(identity, other)) ?? identity
    }
    if (!hop.identitiesOnly) {
      const others = inAgent.filter(isNew)
      offered.push(...others)
      yield* others
    }
    if (hop.identityFiles !== undefined || hop.identitiesOnly) return
    for (const file of usualKeyFiles(homeDir)) {
      const identity = await this.#fromFile(file, false)
      if (identity !== undefined && isNew(identity)) yield identity
    }
  }

  async #agentKeys(): Promise<Identity[]> {
    const socket = this.#options.hop.agentSocket
    if (socket === undefined) return []
    try {
      return await listAgentKeys(socket)
    } catch {
      this.tried.push('agent: does not answer')
      return []
    }
  }

  async #fromFile(file: string, isNamed: boolean): Promise<Identity | undefined> {
    const loaded = await loadKeyFile(file)
    if (loaded.state === 'ready') return loaded.identity
    if (loaded.state === 'unusable') this.tried.push(`key ${file}: ${loaded.reason}`)
    if (loaded.state === 'missing' && isNamed) this.tried.push(`key ${file}: there is no such file`)
    if (loaded.state !== 'sealed') return undefined
    const privateKey = await this.#openFile(loaded.file).catch((error: unknown) => {
      if (this.#options.signal.aborted) throw error
      this.tried.push(`key ${file}: ${error instanceof Error ? error.message : 'does not open'}`)
      return undefined
    })
    return privateKey === undefined ? undefined : fileIdentity({ ...loaded.file, privateKey }, privateKey)
  }

  /** Rejects with the reason, in the user's words. */
  async #openFile(file: KeyFile): Promise<ParsedKey> {
    if (file.privateKey !== undefined) return file.privateKey
    const source = this.#options.hop.passphrase
    const request: SecretRequest = { purpose: 'passphrase', label: `passphrase of ${file.file}`, source }
    for await (const passphrase of this.#secrets(request)) {
      const key = openKey(file.text, passphrase)
      if (key !== undefined) {
        this.#options.secrets.keep(request.label, passphrase)
        return key
      }
      this.#options.secrets.forget(request.label)
    }
    throw new Error(`the passphrase of ${file.file} is wrong or was not given`)
  }

  async *#passwords(username: string): AsyncGenerator<AnyAuthMethod, void, void> {
    const { hop, secrets } = this.#options
    const request: SecretRequest = {
      purpose: 'password',
      label: `password of ${hop.label}`,
      source: hop.password,
    }
    for await (const password of this.#secrets(request)) {
      this.#keepSecret = () => secrets.keep(request.label, password)
      yield { type: 'password', username, password }
      this.#keepSecret = undefined
      this.#refusedPassword = password
      secrets.forget(request.label)
      this.tried.push('password: refused')
      if (!this.#takes('password')) return
    }
    if (this.#refusedPassword === undefined) this.tried.push('password: none was given')
  }

  /** A secret, again while the user can be asked for another one; the same one is not given twice. */
  async *#secrets(request: SecretRequest): AsyncGenerator<string, void, void> {
    let last: string | undefined
    for (let question = 0; question < maxQuestions; question += 1) {
      const secret = await this.#ask(request)
      if (secret === undefined || secret === last) return
      last = secret
      yield secret
    }
  }

  async #ask(request: SecretRequest): Promise<string | undefined> {
    const { secrets, signal, onQuestion } = this.#options
    onQuestion(true)
    try {
      return await secrets.get(request, signal)
    } finally {
      onQuestion(false)
    }
  }

  #answer(question: [string, string, string, Prompt[], (answers: string[]) => void]): void {
    const [, , , prompts, finish] = question
    this.#answers(prompts).then(finish, (error: unknown) => {
      this.failure = error
      finish([])
    })
  }

  async #answers(prompts: readonly Prompt[]): Promise<string[]> {
    const { hop, secrets } = this.#options
    const answers: string[] = []
    for (const { prompt, echo } of prompts) {
      const isPassword = prompts.length === 1 && echo !== true && /passwor[dt]|kennwort/i.test(prompt)
      const label = `password of ${hop.label}`
      if (isPassword && this.#refusedPassword === undefined) {
        const password = await this.#ask({ purpose: 'password', label, source: hop.password })
        if (password !== undefined) this.#keepSecret = () => secrets.keep(label, password)
        answers.push(password ?? '')
        continue
      }
      const text = prompt
        .replaceAll(/\p{Cc}/gu, ' ')
        .trim()
        .slice(0, 200)
      const own = {
        purpose: 'keyboard-interactive',
        label: `${hop.label}: ${text}`,
        source: undefined,
      } as const
      answers.push((await this.#ask(own)) ?? '')
    }
    return answers
  }

  /** The refusal, with everything that was tried. */
  refusal(object: string, cause?: unknown): AppError {
    const { hop } = this.#options
    if (this.failure instanceof AppError) return this.failure
    return new AppError('auth-failed', `${hop.label} does not let us in`, {
      object,
      facts: {
        tried:
          this.tried.length === 0 ? 'nothing: no key, agent or password is at hand' : this.tried.join('; '),
        ...(this.methodsLeft.length === 0 ? {} : { accepted: this.methodsLeft.join(', ') }),
      },
      advice: 'Check the user, and give a key (identity file or agent) or a password that this device takes.',
      cause: this.failure ?? cause,
    })
  }
}
