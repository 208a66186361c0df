// Passkeys on the page that signs in and on the page of sessions. Where this does not run, or a browser has no
// passkeys, the parts it would show stay hidden, and one-time links are the way in.
"use strict";
(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const toText = (buffer) =>
    btoa(Array.from(new Uint8Array(buffer), (one) => String.fromCharCode(one)).join(""))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((one) => ({ ...one, id: toBytes(one.id) }));

  const ask = {
    async create(wanted) {
      const publicKey = { ...wanted, challenge: toBytes(wanted.challenge), excludeCredentials: known(wanted.excludeCredentials),
        user: { ...wanted.user, id: toBytes(wanted.user.id) } };
      const made = await navigator.credentials.create({ publicKey });
      return [made, { attestationObject: toText(made.response.attestationObject) }];
    },
    async get(wanted) {
      const publicKey = { ...wanted, challenge: toBytes(wanted.challenge), allowCredentials: known(wanted.allowCredentials) };
      const given = await navigator.credentials.get({ publicKey });
      const { authenticatorData, signature, userHandle } = given.response;
      return [given, { authenticatorData: toText(authenticatorData), signature: toText(signature),
        userHandle: userHandle ? toText(userHandle) : null }];
    },
  };

  const say = (part, which, words) => {
    for (const one of part.querySelectorAll("[data-say]")) {
      one.hidden = one.dataset.say !== which;
      if (words && !one.hidden) one.textContent = words;
    }
  };

  // A refusal is a page; what it says stands there.
  const why = async (reply) =>
    new DOMParser().parseFromString(await reply.text(), "text/html").querySelector("#main .lead")?.textContent;

  // Whether the form is on its way.
  const send = async (part, form) => {
    say(part, "");
    let wanted;
    try {
      const body = new URLSearchParams(form.elements.name ? { name: form.elements.name.value } : {});
      const reply = await fetch(form.dataset.begin, { method: "POST", body });
      if (reply.status === 403 && form.dataset.passkey === "create") return location.reload();  // Signed out meanwhile.
      if ([400, 403, 429].includes(reply.status)) {
        const words = await why(reply);
        return say(part, words ? "why" : "away", words);
      }
      if (!reply.ok) throw new Error(reply.statusText);
      wanted = await reply.json();
    } catch {
      return say(part, "away");
    }
    try {
      const [credential, response] = await ask[form.dataset.passkey](wanted);
      response.clientDataJSON = toText(credential.response.clientDataJSON);
      form.elements.credential.value = JSON.stringify(
        { id: credential.id, rawId: toText(credential.rawId), type: credential.type, response });
      form.submit();
      return true;
    } catch (error) {
      say(part, error.name === "InvalidStateError" ? "known" : "nothing");
    }
  };

  for (const part of document.querySelectorAll("[data-passkeys]")) {
    const form = part.querySelector("form[data-passkey]");
    // A second press would begin anew, and what the device says to the first would fit nothing any more.
    let busy = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (busy) return;
      busy = true;
      busy = Boolean(await send(part, form));
    });
    window.addEventListener("pageshow", () => { busy = false; });
    part.hidden = false;
  }
  for (const one of document.querySelectorAll("[data-without-passkeys]")) one.hidden = true;
})();
