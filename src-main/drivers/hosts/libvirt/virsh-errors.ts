import { AppError, type ErrorCode } from '#shared/errors/app-error.ts'

interface Meaning {
  readonly words: RegExp
  readonly code: ErrorCode
  readonly message: string
  readonly advice?: string
}

/** virsh has no error numbers on its command line, so its words (LC_ALL=C) are read here and nowhere else. First match wins. */
const meanings: readonly Meaning[] = [
  {
    words: /virsh: (command )?not found/,
    code: 'not-supported',
    message: 'The command virsh is not on the host',
    advice: "Install libvirt's clients on the host (libvirt-clients, libvirt-client).",
  },
  {
    words: /authentication (unavailable|failed)|polkit|libvirt-sock[^\n]*Permission denied/,
    code: 'auth-failed',
    message: 'The user may not use libvirt on the host',
    advice: 'Use root, let the connection use sudo, or add the user to the group libvirt.',
  },
  {
    words:
      /failed to connect to the hypervisor|Failed to connect socket|Cannot recv data|End of file while reading|Disconnected from|client socket is closed/i,
    code: 'unreachable',
    message: 'The libvirt daemon on the host does not answer',
    advice:
      'Start it on the host (systemctl start libvirtd, or virtqemud.socket) and check the URI of the host. VMs that run are not affected.',
  },
  {
    words: /already exists with uuid|already defined with uuid/,
    code: 'busy',
    message: 'The name or UUID belongs to another VM on the host',
    advice: 'Choose another name, or remove the other VM first.',
  },
  {
    words: /cannot acquire state change lock|another block job|Failed to get "?(write|shared write)"? lock/,
    code: 'busy',
    message: 'The VM or its disk is in use by another operation',
  },
  {
    words: /domaintype=kvm|KVM (acceleration )?not available|Could not access KVM/i,
    code: 'not-supported',
    message: 'The VM needs KVM, which this host does not offer',
    advice:
      'Turn on virtualization in the firmware of the host and load its KVM module, or choose another host.',
  },
  {
    words: /Unable to find any firmware/i,
    code: 'not-supported',
    message: 'The host has no UEFI firmware of the kind that the VM asks for',
    advice: 'Install it on the host (package ovmf or edk2-ovmf).',
  },
  {
    words: /failed to get domain|Domain not found/,
    code: 'not-found',
    message: 'The VM is not on the host',
  },
]

/** What a failed virsh script means; other errors (connection, time) are returned as they are. */
export function explainVirsh(error: unknown, object: string): unknown {
  if (!(error instanceof AppError) || error.code !== 'device-rejected') return error
  const words = error.facts['stderr'] ?? ''
  const meaning = meanings.find((candidate) => candidate.words.test(words))
  if (meaning === undefined)
    return new AppError(error.code, error.message, {
      object,
      effect: error.effect,
      facts: error.facts,
      cause: error,
      ...(error.advice === undefined ? {} : { advice: error.advice }),
    })
  return new AppError(meaning.code, meaning.message, {
    object,
    // A daemon that went away may have carried out the request before.
    effect: /Cannot recv data|End of file|Disconnected/i.test(words) ? 'unknown' : 'none',
    facts: error.facts,
    cause: error,
    ...(meaning.advice === undefined ? {} : { advice: meaning.advice }),
  })
}
