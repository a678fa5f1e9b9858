//! Second factors, against a real server, over the API, and on the command line.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::Executor as _;
use tocsin::casework::second_factor::{code, step};
use tocsin::casework::sessions::{MAX_FAILURES, Origin, Proof};
use tocsin::casework::users::{NewUser, UserChange};
use tocsin::casework::{Actor, Casework, CaseworkError, Role, Via};
use tocsin::record::Timestamp;

use crate::support::{Daemon, Database, casework_with_keys, request, state_dir, tocsin, wait_until};

const PASSWORD: &str = "correct-horse-battery";

fn os() -> Actor {
    Actor::operator("tester")
}

async fn user(casework: &Casework, name: &str) -> Actor {
    let new = NewUser { name: name.to_owned(), display_name: None, email: None, role: Role::Analyst };
    let once = casework.create_user(&os(), &new).await.unwrap();
    let (_, actor) = casework.sign_in(name, once.clone(), Via::Api, &Origin::default()).await.unwrap();
    casework.change_own_password(&actor, once, PASSWORD.to_owned()).await.unwrap();
    sign_in(casework, name, PASSWORD, None).await.unwrap()
}

async fn sign_in(casework: &Casework, name: &str, password: &str, code: Option<&str>) -> Result<Actor, CaseworkError> {
    let proof = Proof { password: password.to_owned(), code: code.map(str::to_owned) };
    casework.sign_in(name, proof, Via::Api, &Origin::default()).await.map(|(_, actor)| actor)
}

/// RFC 4648 §6, as an app reads it.
fn secret(base32: &str) -> Vec<u8> {
    let digits = base32.bytes().map(|b| if b.is_ascii_uppercase() { b - b'A' } else { b - b'2' + 26 });
    let bits: Vec<u8> = digits.flat_map(|digit| (0..5).rev().map(move |n| digit >> n & 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit)).collect()
}

/// The code so many steps from now.
fn code_in(base32: &str, steps: i64) -> String {
    code(&secret(base32), step(Timestamp::now()) + steps)
}

/// As if no code had been accepted yet.
async fn forget_steps(database: &Database) {
    database.pool.execute("UPDATE second_factors SET last_step = 0").await.unwrap();
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_is_confirmed_and_each_code_is_taken_once() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let ada = user(&casework, "ada").await;
    let wrong = casework.begin_own_second_factor(&ada, "not it".into()).await;
    assert!(matches!(wrong, Err(CaseworkError::Unrecognised)), "an open session is not enough");
    let first = casework.begin_own_second_factor(&ada, PASSWORD.into()).await.unwrap();
    let begun = casework.begin_own_second_factor(&ada, PASSWORD.into()).await.unwrap();
    assert_ne!(first.secret, begun.secret, "begun anew");
    assert_eq!(secret(&begun.secret).len(), 20);
    assert!(begun.uri.starts_with("otpauth://totp/tocsin:ada?secret=") && begun.uri.contains(&begun.secret), "{}", begun.uri);
    sign_in(&casework, "ada", PASSWORD, None).await.unwrap();
    for wrong in [code_in(&first.secret, 0), code_in(&begun.secret, 5), String::new(), "x".into()] {
        let refused = casework.confirm_second_factor(&ada, "ada", &wrong).await;
        assert!(matches!(refused, Err(CaseworkError::Invalid { field: "code", .. })), "{refused:?}");
    }
    let recovery = casework.confirm_second_factor(&ada, "ada", &code_in(&begun.secret, 0)).await.unwrap();
    assert_eq!(recovery.iter().collect::<std::collections::HashSet<_>>().len(), 10);
    assert!(matches!(casework.begin_own_second_factor(&ada, PASSWORD.into()).await, Err(CaseworkError::Conflict(_))));
    assert!(casework.users(&os()).await.unwrap()[0].second_factor);

    let needed = sign_in(&casework, "ada", PASSWORD, None).await;
    assert!(matches!(needed, Err(CaseworkError::SecondFactorNeeded)), "{needed:?}");
    assert!(
        matches!(sign_in(&casework, "ada", "not it", None).await, Err(CaseworkError::Unrecognised)),
        "who has no password learns nothing"
    );
    forget_steps(&database).await;
    let once = code_in(&begun.secret, 0);
    sign_in(&casework, "ada", PASSWORD, Some(&format!("{} {}", &once[..3], &once[3..]))).await.unwrap();
    let again = sign_in(&casework, "ada", PASSWORD, Some(&once)).await;
    assert!(matches!(again, Err(CaseworkError::WrongCode)), "{again:?}");
    sign_in(&casework, "ada", PASSWORD, Some(&recovery[0])).await.unwrap();
    let again = sign_in(&casework, "ada", PASSWORD, Some(&recovery[0])).await;
    assert!(matches!(again, Err(CaseworkError::WrongCode)), "{again:?}");
    sign_in(&casework, "ada", PASSWORD, Some(&recovery[1].to_uppercase())).await.unwrap();

    let wrong = casework.remove_own_second_factor(&ada, &recovery[0]).await;
    assert!(matches!(wrong, Err(CaseworkError::WrongCode)), "{wrong:?}");
    casework.remove_own_second_factor(&ada, &recovery[2]).await.unwrap();
    sign_in(&casework, "ada", PASSWORD, None).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM recovery_codes").await, 0);
    assert!(casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered.is_none());
}

#[tokio::test]
async fn wrong_codes_lock_an_account_as_wrong_passwords_do() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let ada = user(&casework, "ada").await;
    let begun = casework.begin_own_second_factor(&ada, PASSWORD.into()).await.unwrap();
    casework.confirm_second_factor(&ada, "ada", &code_in(&begun.secret, 0)).await.unwrap();
    for n in 1..=MAX_FAILURES {
        // Asking without a code neither counts nor forgets what was counted.
        assert!(matches!(sign_in(&casework, "ada", PASSWORD, None).await, Err(CaseworkError::SecondFactorNeeded)));
        let refused = sign_in(&casework, "ada", PASSWORD, Some(&code_in(&begun.secret, 100))).await;
        match refused {
            Err(CaseworkError::LockedOut(_)) => assert_eq!(n, MAX_FAILURES),
            Err(CaseworkError::WrongCode) => assert!(n < MAX_FAILURES),
            other => panic!("{other:?}"),
        }
    }
    forget_steps(&database).await;
    let right = sign_in(&casework, "ada", PASSWORD, Some(&code_in(&begun.secret, 0))).await;
    assert!(matches!(right, Err(CaseworkError::LockedOut(_))), "{right:?}");
    assert!(matches!(casework.remove_own_second_factor(&ada, "123456").await, Err(CaseworkError::LockedOut(_))));
    casework.change_user(&os(), "ada", &UserChange { unlock: true, ..UserChange::default() }, None).await.unwrap();
    // Guessing from an open session counts, too.
    for _ in 1..MAX_FAILURES {
        assert!(matches!(casework.remove_own_second_factor(&ada, "").await, Err(CaseworkError::WrongCode)));
    }
    assert!(matches!(casework.remove_own_second_factor(&ada, "").await, Err(CaseworkError::LockedOut(_))));
    casework.change_user(&os(), "ada", &UserChange { unlock: true, ..UserChange::default() }, None).await.unwrap();
    // One code at one time in four places.
    forget_steps(&database).await;
    let once = code_in(&begun.secret, 0);
    let attempts: Vec<_> = (0..4)
        .map(|_| {
            let (casework, once) = (casework.clone(), once.clone());
            tokio::spawn(async move { sign_in(&casework, "ada", PASSWORD, Some(&once)).await.is_ok() })
        })
        .collect();
    let mut let_in = 0;
    for attempt in attempts {
        let_in += usize::from(attempt.await.unwrap());
    }
    assert_eq!(let_in, 1);
}

#[tokio::test]
async fn who_has_lost_it_gets_in_by_a_recovery_code_or_an_admin_and_the_secret_is_sealed() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let ada = user(&casework, "ada").await;
    let begun = casework.begin_own_second_factor(&ada, PASSWORD.into()).await.unwrap();
    let recovery = casework.confirm_second_factor(&ada, "ada", &code_in(&begun.secret, 0)).await.unwrap();
    let kept = database.column("SELECT secret FROM second_factors").await;
    let hex: String = secret(&begun.secret).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!kept[0].contains(&hex), "{kept:?}");
    let bob = user(&casework, "bob").await;
    for refused in [
        casework.begin_second_factor(&bob, "ada").await.err(),
        casework.confirm_second_factor(&bob, "ada", "123456").await.err(),
        casework.reset_second_factor(&bob, "ada").await.err(),
    ] {
        assert!(matches!(refused, Some(CaseworkError::Forbidden { .. })), "{refused:?}");
    }
    // Somebody else's secret does not stand in for it.
    let other = casework.begin_own_second_factor(&bob, PASSWORD.into()).await.unwrap();
    casework.confirm_second_factor(&bob, "bob", &code_in(&other.secret, 0)).await.unwrap();
    let swap = "UPDATE second_factors f SET last_step = 0, secret = o.secret FROM second_factors o WHERE o.user_id <> f.user_id";
    database.pool.execute(swap).await.unwrap();
    let swapped = sign_in(&casework, "ada", PASSWORD, Some(&code_in(&other.secret, 0))).await;
    assert!(matches!(swapped, Err(CaseworkError::Keys(_))), "{swapped:?}");
    database.pool.execute(swap).await.unwrap();

    std::fs::rename(dir.path().join("keys/master.key"), dir.path().join("kept")).unwrap();
    let closed = sign_in(&casework, "ada", PASSWORD, Some(&code_in(&begun.secret, 0))).await;
    assert!(matches!(closed, Err(CaseworkError::Keys(_))), "{closed:?}");
    sign_in(&casework, "ada", PASSWORD, Some(&recovery[9])).await.unwrap();
    casework.reset_second_factor(&os(), "ada").await.unwrap();
    sign_in(&casework, "ada", PASSWORD, None).await.unwrap();
    assert!(matches!(casework.reset_second_factor(&os(), "ada").await, Err(CaseworkError::NotFound(_))));
    std::fs::rename(dir.path().join("kept"), dir.path().join("keys/master.key")).unwrap();
    casework.rotate_keys(&os(), true, &mut |_, _| {}).await.unwrap();
    sign_in(&casework, "bob", PASSWORD, Some(&code_in(&other.secret, 1))).await.unwrap();
}

#[tokio::test]
async fn over_the_api_and_on_the_command_line() {
    let (database, dir) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let daemon = Daemon::start(dir.path(), &configuration).await;
    wait_until("the daemon stores", async || {
        request(daemon.http(), "GET", "/health/ready", &[], b"").await.is_ok_and(|answer| answer.code == 200)
    })
    .await;
    let casework = casework_with_keys(&database, &dir.path().join("state")).await;
    user(&casework, "ada").await;
    let call = async |method: &str, path: &str, token: &str, body: Value| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        let path = format!("/api/v1{path}");
        let answer = request(daemon.http(), method, &path, &headers, body.to_string().as_bytes()).await.unwrap();
        (answer.code, serde_json::from_str::<Value>(&answer.body).unwrap_or_default())
    };
    let session = async |code: Value| {
        let mut body = json!({ "name": "ada", "password": PASSWORD });
        if !code.is_null() {
            body["code"] = code;
        }
        call("POST", "/session", "", body).await
    };
    let (_, signed_in) = session(Value::Null).await;
    let token = signed_in["token"].as_str().unwrap().to_owned();
    let (code, begun) = call("POST", "/me/totp", &token, json!({ "password": PASSWORD })).await;
    assert_eq!(code, 201, "{begun}");
    let secret = begun["secret"].as_str().unwrap();
    let (code, confirmed) = call("POST", "/me/totp/confirm", &token, json!({ "code": code_in(secret, 0) })).await;
    assert_eq!((code, confirmed["recovery_codes"].as_array().map(Vec::len)), (200, Some(10)), "{confirmed}");
    for code in [Value::Null, json!("000"), confirmed["recovery_codes"][0].clone(), confirmed["recovery_codes"][0].clone()] {
        let (status, answer) = session(code.clone()).await;
        let first_use = answer["token"].is_string();
        assert!((status == 201) == first_use && (first_use || answer["field"] == "code"), "{code}: {status} {answer}");
    }
    let used = database.number("SELECT count(*) FROM recovery_codes WHERE used_at IS NOT NULL").await;
    assert_eq!(used, 1);
    // Asking without a code is no attack; wrong ones are told to our own detectors.
    database.wait_for("SELECT count(*) FROM logs WHERE source = 'tocsin' AND event_type = 'login_failed'", 2).await;
    let (code, _) = call("DELETE", "/me/totp", &token, json!({ "code": confirmed["recovery_codes"][1] })).await;
    assert_eq!((code, session(Value::Null).await.0), (204, 201));

    let mut child = Command::new(tocsin())
        .args(["user", "second-factor", "enrol", "ada", "--config"])
        .arg(dir.path().join("tocsin.toml"))
        .env_remove("TOCSIN_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let secret = lines.next().unwrap().unwrap();
    assert!(lines.next().unwrap().unwrap().starts_with("otpauth://"));
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "000").unwrap();
    writeln!(stdin, "{}", code_in(&secret, 0)).unwrap();
    let recovery: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!((child.wait().unwrap().code(), recovery.len()), (Some(0), 10), "{recovery:?}");
    assert_eq!(session(json!(recovery[3])).await.0, 201);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(tocsin());
        command.args(arguments).arg("--config").arg(dir.path().join("tocsin.toml")).env_remove("TOCSIN_TOKEN");
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (_, listed) = run(&["user", "list", "--json"]);
    assert!(listed.contains("\"second_factor\":true"), "{listed}");
    assert_eq!(run(&["user", "second-factor", "reset", "ada"]).0, 0);
    assert_eq!(session(Value::Null).await.0, 201);
    assert_eq!(daemon.stop().await.0, Some(0));
}
