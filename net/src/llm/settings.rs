//! Which place and which key a handler's settings mean, beside the environment.

use toq_vault::Secret;

use super::endpoint::{AwsKeys, Base, Credential, Endpoint};
use super::{LlmError, Provider};

/// What a handler's settings say of its provider.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Who runs the model.
    pub provider: Provider,
    /// Where, if not at the usual place.
    pub base_url: Option<&'a str>,
    /// The key, if not the usual one.
    pub key: Option<Secret>,
}

/// Looks into the environment; an empty variable is an unset one.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The place and the key of a handler.
///
/// The key in the environment belongs to the place in the environment, or to the provider's own. A handler that
/// names another place gets it only together with a key of its own.
///
/// # Errors
/// [`LlmError::Setting`] names the variable or the setting that is missing or wrong.
pub fn endpoint(settings: &Settings<'_>, variables: Variables<'_>) -> Result<Endpoint, LlmError> {
    let variable = |name: &str| variables(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let usual = usual_place(settings.provider, &variable)?;
    let place = settings.base_url.map(Base::parse).transpose()?;
    let is_elsewhere = place.as_ref().is_some_and(|place| *place != usual);
    let credential = match &settings.key {
        Some(key) => given(settings.provider, key.clone()),
        None if is_elsewhere => Ok(Credential::None),
        None => usual_credential(settings.provider, &usual, &variable),
    }?;
    Endpoint::new(place.unwrap_or(usual), credential)
}

fn usual_place(provider: Provider, variable: &dyn Fn(&str) -> Option<String>) -> Result<Base, LlmError> {
    let (name, otherwise) = match provider {
        Provider::OpenAi => ("OPENAI_BASE_URL", "https://api.openai.com/v1".to_owned()),
        Provider::Anthropic => ("ANTHROPIC_BASE_URL", "https://api.anthropic.com".to_owned()),
        Provider::Ollama => ("OLLAMA_HOST", "http://localhost:11434".to_owned()),
        Provider::Bedrock => ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", format!("https://bedrock-runtime.{}.amazonaws.com", region(variable)?)),
    };
    let text = variable(name).unwrap_or(otherwise);
    Base::parse(&text).map_err(|error| LlmError::Setting(format!("{name}: {error}")))
}

fn usual_credential(provider: Provider, usual: &Base, variable: &dyn Fn(&str) -> Option<String>) -> Result<Credential, LlmError> {
    let unset = |name: &str| LlmError::Setting(format!("{name} is not set in the daemon's environment; set it and start the daemon again"));
    let name = match provider {
        Provider::OpenAi => "OPENAI_API_KEY",
        Provider::Anthropic => "ANTHROPIC_API_KEY",
        Provider::Ollama => return Ok(Credential::None),
        Provider::Bedrock => {
            let id = variable("AWS_ACCESS_KEY_ID").ok_or_else(|| unset("AWS_ACCESS_KEY_ID"))?;
            let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or_else(|| unset("AWS_SECRET_ACCESS_KEY"))?;
            let session = variable("AWS_SESSION_TOKEN").map(Secret::new);
            return Ok(Credential::Aws(AwsKeys { id, secret: Secret::new(secret), session, region: region(variable)? }));
        }
    };
    match variable(name) {
        Some(key) => Ok(Credential::Key(Secret::new(key))),
        // A server of one's own often wants none; the provider's own always does.
        None if usual.host().ends_with("openai.com") || usual.host().ends_with("anthropic.com") => Err(unset(name)),
        None => Ok(Credential::None),
    }
}

fn given(provider: Provider, key: Secret) -> Result<Credential, LlmError> {
    match provider {
        Provider::Bedrock => Err(LlmError::Setting("bedrock takes its keys from the AWS_ variables only; remove api_key".to_owned())),
        _ => Ok(Credential::Key(key)),
    }
}

/// The region. It becomes part of a host name, so it is checked.
fn region(variable: &dyn Fn(&str) -> Option<String>) -> Result<String, LlmError> {
    let region = variable("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned());
    let is_name = region.len() <= 63 && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_name { Ok(region) } else { Err(LlmError::Setting("AWS_REGION is not a region such as us-east-1".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        Some(match name {
            "OPENAI_API_KEY" | "ANTHROPIC_API_KEY" | "AWS_SECRET_ACCESS_KEY" => "canary-3f1c".to_owned(),
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE".to_owned(),
            "AWS_REGION" => "eu-central-1".to_owned(),
            _ => return None,
        })
    }

    fn bound(provider: Provider, base_url: Option<&str>, key: Option<&str>) -> Result<(String, Vec<String>), LlmError> {
        let settings = Settings { provider, base_url, key: key.map(Secret::new) };
        let endpoint = endpoint(&settings, &variables)?;
        let secrets = endpoint.credential().secrets().map(str::to_owned).collect();
        Ok((endpoint.base().to_string(), secrets))
    }

    #[test]
    fn the_usual_places_get_the_usual_keys() {
        let canary = || vec!["canary-3f1c".to_owned()];
        for (provider, place, secrets) in [
            (Provider::OpenAi, "https://api.openai.com/v1", canary()),
            (Provider::Anthropic, "https://api.anthropic.com", canary()),
            (Provider::Ollama, "http://localhost:11434", vec![]),
            (Provider::Bedrock, "https://bedrock-runtime.eu-central-1.amazonaws.com", canary()),
        ] {
            assert_eq!(bound(provider, None, None), Ok((place.to_owned(), secrets)));
        }
    }

    #[test]
    fn another_place_does_not_get_the_usual_key() {
        for provider in [Provider::OpenAi, Provider::Anthropic, Provider::Bedrock] {
            let (place, secrets) = bound(provider, Some("https://evil.example/v1"), None).expect("an endpoint");

            assert_eq!((place.as_str(), secrets.len()), ("https://evil.example/v1", 0));
        }
        assert_eq!(bound(Provider::OpenAi, Some("https://own.example"), Some("own-key")).expect("an endpoint").1, ["own-key"]);
        assert_eq!(bound(Provider::OpenAi, Some("https://api.openai.com/v1/"), None).expect("an endpoint").1, ["canary-3f1c"]);
    }

    #[test]
    fn a_missing_key_is_named() {
        let settings = Settings { provider: Provider::Anthropic, base_url: None, key: None };

        let error = endpoint(&settings, &|_| None).expect_err("no key").to_string();

        assert!(error.contains("ANTHROPIC_API_KEY is not set"), "{error}");
    }

    #[test]
    fn a_region_cannot_change_the_host() {
        let settings = Settings { provider: Provider::Bedrock, base_url: None, key: None };

        assert!(endpoint(&settings, &|name| (name == "AWS_REGION").then(|| "x.evil.example/".to_owned())).is_err());
    }
}
