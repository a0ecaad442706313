import { isOwnUrl } from './origin.ts'

/** What of Electron's frames the check looks at. */
export interface Frame {
  readonly url: string
  readonly parent: unknown
}
export interface Sender {
  readonly senderFrame: Frame | null
  readonly sender: { readonly id: number }
}

/** A message counts only from the main frame of a window of our own that shows our own page. */
export function isTrustedSender({ senderFrame, sender }: Sender, ownWindows: ReadonlySet<number>): boolean {
  // senderFrame is null once the frame has navigated away or is gone
  if (senderFrame === null || senderFrame.parent !== null) return false
  return ownWindows.has(sender.id) && isOwnUrl(senderFrame.url)
}
