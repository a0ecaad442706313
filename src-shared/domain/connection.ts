import { z } from 'zod'

/**
 * Where a secret comes from; the secret itself is never part of a connection.
 * `prompt`: ask the user; `env`: a variable of the console's own environment; `store`: the operating system's store.
 */
export const secretSourceSchema = z.discriminatedUnion('from', [
  z.object({ from: z.literal('prompt') }),
  z.object({ from: z.literal('env'), variable: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/) }),
  z.object({ from: z.literal('store'), key: z.string().min(1) }),
])
export type SecretSource = z.infer<typeof secretSourceSchema>

/** How a device is reached over SSH. What is left out comes from the user's SSH configuration, then from defaults. */
export const sshConnectionSchema = z.object({
  /** Host name, address, or a Host alias of the SSH configuration. */
  host: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[A-Za-z0-9_.:%[\]-]+$/, 'use a host name, an address or an alias of the SSH configuration')
    .refine((host) => !host.startsWith('-'), 'a host name does not begin with a hyphen'),
  port: z.int().min(1).max(65535).optional(),
  user: z.string().min(1).max(128).optional(),
  identityFiles: z.array(z.string()).optional(),
  /** Use the SSH agent; default true. */
  agent: z.boolean().optional(),
  password: secretSourceSchema.optional(),
  passphrase: secretSourceSchema.optional(),
  /** Jump hosts in order, each "[user@]host[:port]", each verified under its own name. */
  jumps: z.array(z.string().min(1)).optional(),
  /** Run commands through `sudo -n`. */
  sudo: z.boolean().optional(),
  /** The most channels that are open on the connection at once; default 8, fewer where the device says so. */
  maxChannels: z.int().min(1).max(64).optional(),
  /** SSH configuration file; null: use none. Default: ~/.ssh/config. */
  configFile: z.string().nullable().optional(),
  /** Extra known_hosts files, read before the user's own; they are never written. */
  knownHostsFiles: z.array(z.string()).optional(),
})
export type SshConnection = z.infer<typeof sshConnectionSchema>
