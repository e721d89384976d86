// Single-key shortcuts: one table, for the keys and for the list that explains them.

import type { MessageKey } from '../i18n/index.js';
import { recall, remember } from './settings.js';

export type ShortcutAction = 'mute' | 'deafen' | 'camera' | 'screen' | 'leave' | 'help';

/** Leaving takes two keys: it cannot happen by a slip. */
export const SHORTCUTS: readonly { action: ShortcutAction; key: string; shift: boolean; shown: readonly string[]; text: MessageKey }[] = [
  { action: 'mute', key: 'm', shift: false, shown: ['M'], text: 'shortcuts.mute' },
  { action: 'deafen', key: 'd', shift: false, shown: ['D'], text: 'shortcuts.deafen' },
  { action: 'camera', key: 'v', shift: false, shown: ['V'], text: 'shortcuts.camera' },
  { action: 'screen', key: 's', shift: false, shown: ['S'], text: 'shortcuts.screen' },
  { action: 'leave', key: 'l', shift: true, shown: ['Shift', 'L'], text: 'shortcuts.leave' },
  { action: 'help', key: '?', shift: true, shown: ['?'], text: 'shortcuts.help' },
];

/** Whether they are on: who uses speech input can turn them off (WCAG 2.1.4). */
export class ShortcutSetting {
  #enabled = $state(recall('shortcuts', 'on') === 'on');

  get enabled(): boolean {
    return this.#enabled;
  }

  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    remember('shortcuts', enabled ? 'on' : 'off');
  }
}

/** What a key press means, if anything. Keys that are typed into a field mean nothing here. */
export function actionOf(event: KeyboardEvent): ShortcutAction | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.defaultPrevented) return undefined;
  const target = event.target;
  if (target instanceof Element && target.closest('input, textarea, select, [contenteditable], dialog')) return undefined;
  const key = event.key.toLowerCase();
  // Where "?" is on the keyboard differs; what counts is the character.
  return SHORTCUTS.find((s) => s.key === key && (s.key === '?' || s.shift === event.shiftKey))?.action;
}
