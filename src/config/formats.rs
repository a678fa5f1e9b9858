//! `[[format]]`: formats of the operator's own, and which format an input is said to write.

use std::sync::Arc;

use super::Config;
use crate::parse::Named;
use crate::parse::own::{Own, differences};
use crate::record::Timestamp;

impl Config {
    /// The formats that it describes, in order. Those that cannot be used are left out: [`super::load`] tells of them.
    pub fn formats(&self) -> Arc<[Own]> {
        self.format.iter().filter_map(|description| Own::new(description).ok()).collect()
    }
}

/// What is wrong: descriptions, their names, samples that are read otherwise than expected, and inputs that are said to write what there is not.
pub(super) fn problems(config: &Config) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let own = config.formats();
    for (i, description) in config.format.iter().enumerate() {
        let at = format!("format[{i}]");
        if description.name.is_empty() {
            problems.push((at.clone(), "has no name: add name = \"…\"".to_owned()));
        } else if Named::find(&description.name, &[]).is_ok() {
            let what = format!("{:?} is the name of a format that is built in (\"tocsin formats\" lists them)", description.name);
            problems.push((format!("{at}.name"), what));
        }
        match Own::new(description) {
            Err(wrong) => {
                let key = |key: &str| if key.is_empty() { at.clone() } else { format!("{at}.{key}") };
                problems.extend(wrong.into_iter().map(|(name, what)| (key(name), what)));
            }
            Ok(_) => {
                let now = Timestamp::now();
                let tried = description.samples.iter().map(|sample| differences(&own, &description.name, sample, now));
                let wrong = tried.enumerate().filter_map(|(n, wrong)| Some((format!("{at}.samples[{n}]"), wrong?)));
                problems.extend(wrong);
            }
        }
    }
    let inputs = (config.syslog.iter().enumerate().map(|(i, s)| (format!("syslog[{i}].format"), &s.format)))
        .chain(config.files.iter().enumerate().map(|(i, f)| (format!("files[{i}].format"), &f.format)))
        .chain(config.webhook.iter().enumerate().map(|(i, w)| (format!("webhook[{i}].format"), &w.format)));
    for (at, name) in inputs {
        if let Some(what) = name.as_deref().and_then(|name| Named::find(name, &own).err()) {
            problems.push((at, what));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load_text;

    const SHOP: &str = r#"[[files]]
name = "a"
paths = ["/nowhere/*.log"]
[[format]]
name = "shop"
app = "shop"
pattern = '^login of %{USER:username} from %{IP:src_ip}$'
event_type = "login_success"
[[format.samples]]
line = "<38>Nov 20 06:25:01 web1 shop[77]: login of Mia from 203.0.113.77"
expect = { username = "Mia", src_ip = "203.0.113.77", host = "web1", "event.outcome" = "success" }
"#;

    #[test]
    fn formats_are_read_and_their_samples_tried() {
        let config = load_text(SHOP).unwrap();
        assert_eq!(config.formats()[0].name(), "shop");
        let json = "[[format]]\nname = 'shop'\n[format.json]\n'Who.Name' = 'username'\n[[format.samples]]\nline = '{\"Who\":{\"Name\":\"mia\"}}'\nexpect = { username = 'mia' }\n";
        load_text(&format!("{SHOP}{json}")).unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_format_is_told_with_its_line() {
        for (from, to, want) in [
            ("username = \"Mia\"", "username = \"Mio\"", "t.toml:9: format[0].samples[0]: username is \"Mia\", not \"Mio\""),
            ("login of Mia", "login by Mia", "t.toml:9: format[0].samples[0]: is read as \"rfc3164\", not by this format"),
            ("%{USER:", "%{USR:", "t.toml:7: format[0].pattern: there is no %{USR}; did you mean %{USER}?"),
            ("name = \"shop\"", "name = \"sshd\"", "t.toml:5: format[0].name: \"sshd\" is the name of a format that is built in"),
            ("login_success", "login", "t.toml:8: format[0].event_type: \"login\" is not one of"),
            ("app = \"shop\"", "apps = \"shop\"", "t.toml:6: format[0].apps: no such key; did you mean \"format.app\"?"),
            (
                "name = \"a\"",
                "name = \"a\"\nformat = \"shp\"",
                "t.toml:3: files[0].format: no such format; did you mean \"shop\"?",
            ),
            ("username = \"Mia\"", "username = 7", "t.toml:11: format[0].samples[0].expect: takes a table of texts"),
        ] {
            let text = SHOP.replace(from, to);
            assert_ne!(text, SHOP, "{from}");
            let got = load_text(&text).unwrap_err();
            assert!(got.iter().any(|problem| problem.starts_with(want)), "{got:?}\n{want}");
        }
    }
}
