//! The signatures of [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The prefix of secrets.
const PREFIX: &str = "whsec_";

/// The `webhook-signature` of a message: one signature for each secret, so that a receiver that knows one of them can verify it.
/// `None` where there is none that is `whsec_` and base64.
#[must_use]
pub fn sign<'s>(
    secrets: impl IntoIterator<Item = &'s str>,
    id: &str,
    timestamp: i64,
    body: &str,
) -> Option<String> {
    let signatures: Vec<String> = secrets
        .into_iter()
        .filter_map(|secret| {
            let key = STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)).ok()?;
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
            for part in [id, ".", &timestamp.to_string(), ".", body] {
                mac.update(part.as_bytes());
            }
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        })
        .collect();
    (!signatures.is_empty()).then(|| signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use longhaul::Timestamp;
    use longhaul::webhook::Secret;

    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_message_is_signed_as_the_reference_libraries_sign_it() {
        let signed = sign([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn two_secrets_sign_side_by_side_and_none_signs_nothing() {
        let other = Secret::generate(Timestamp(0)).secret;
        let signed = sign([SECRET, &other], "a", 1, "{}").unwrap();
        let alone = sign([other.as_str()], "a", 1, "{}").unwrap();
        assert_eq!(signed.split(' ').count(), 2);
        assert!(signed.ends_with(&alone));
        assert_eq!(sign([], "a", 1, "{}"), None);
        assert_ne!(Secret::generate(Timestamp(0)).secret, other);
    }
}
