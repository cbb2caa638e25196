//! `docket token`.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use docket_core::{
    access::Role,
    ids::{AgentKey, CustomerId, TokenId},
    time::Timestamp,
};
use docket_store::DataDir;
use serde_json::json;

use super::{
    Global, instant,
    open::{Opened, views_read_only},
    plain::plain,
    print, print_json,
};
use crate::{clock::SystemClock, engine::Principal};

/// What can be done with tokens. While a server runs on the data directory, ask it: mutation `tokenCreate`.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token; its secret is shown this once
    #[command(after_help = "Example: docket token create --role agent --agent ann --label \"Ann's phone\"")]
    Create(CreateArgs),
    /// List tokens, without their secrets
    #[command(after_help = "Example: docket token list --json")]
    List,
    /// Take a token back
    #[command(after_help = "Example: docket token revoke 01JD8Z6D5M3Q0T8Z7V9W2X4Y6A")]
    Revoke {
        /// Its id, as `list` shows it
        id: TokenId,
    },
}

/// Arguments of `docket token create`.
#[derive(Args)]
pub struct CreateArgs {
    /// What its bearer is
    #[arg(long, value_enum)]
    role: RoleArg,
    /// Key of the agent, for the role agent
    #[arg(long, required_if_eq("role", "agent"))]
    agent: Option<AgentKey>,
    /// Id of the customer, for the role customer
    #[arg(long, required_if_eq("role", "customer"))]
    customer: Option<CustomerId>,
    /// What it is for
    #[arg(long, default_value = "made on the command line")]
    label: String,
    /// When it ends, RFC 3339; never when absent
    #[arg(long, value_parser = instant)]
    expires: Option<Timestamp>,
}

#[derive(ValueEnum, Clone, Copy)]
enum RoleArg {
    Administrator,
    Agent,
    Customer,
    Auditor,
}

/// Runs a command.
pub fn run(global: &Global, command: &TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(args) => create(global, args),
        TokenCommand::List => list(global),
        TokenCommand::Revoke { id } => {
            // Revoking makes no directory.
            DataDir::open(&global.data)?;
            let mut opened = Opened::writable(&global.data)?;
            let engine = opened.engine(Arc::new(SystemClock))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            runtime.block_on(engine.revoke_token(&Principal::local(), *id, None))?;
            opened.save(&engine.views());
            opened.log.close();
            print(format!("token {id} holds no longer"))
        }
    }
}

fn create(global: &Global, args: &CreateArgs) -> anyhow::Result<()> {
    let named = (args.agent.is_some(), args.customer.is_some());
    match (args.role, named) {
        (RoleArg::Agent, (true, false)) | (RoleArg::Customer, (false, true)) => {}
        (RoleArg::Administrator | RoleArg::Auditor, (false, false)) => {}
        _ => bail!("--agent goes with --role agent, --customer with --role customer, and neither with the other roles"),
    }
    let role = match args.role {
        RoleArg::Administrator => Role::Administrator,
        RoleArg::Auditor => Role::Auditor,
        RoleArg::Agent => Role::Agent(args.agent.clone().context("name the agent with --agent")?),
        RoleArg::Customer => Role::Customer(args.customer.context("name the customer with --customer")?),
    };
    let mut opened = Opened::writable(&global.data)?;
    let engine = opened.engine(Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let issued = runtime.block_on(engine.issue_token(&Principal::local(), role, &args.label, args.expires, None));
    opened.save(&engine.views());
    opened.log.close();
    let issued = issued?;
    let (id, secret) = (issued.id, issued.secret.unwrap_or_default());
    if global.json { print_json(&json!({ "id": id, "secret": secret })) } else { print(&secret) }
}

fn list(global: &Global) -> anyhow::Result<()> {
    let views = views_read_only(&DataDir::open(&global.data)?)?;
    if global.json {
        let tokens: Vec<_> = views
            .people()
            .tokens()
            .map(|token| {
                json!({
                    "id": token.id,
                    "role": token.role,
                    "label": token.label,
                    "expires_at": token.expires_at.map(|at| at.to_string()),
                    "revoked": token.revoked,
                })
            })
            .collect();
        return print_json(&tokens);
    }
    for token in views.people().tokens() {
        let role = bearer(&token.role);
        let desk = views.desk().desk();
        let has_left = |key| {
            desk.agents.get(key).is_none_or(|agent| agent.retired || agent.left.is_some_and(|left| left > token.issued))
        };
        let end = match (token.revoked, token.expires_at, &token.role) {
            (true, ..) => "revoked".to_owned(),
            (false, _, Role::Agent(key)) if has_left(key) => "the agent has left".to_owned(),
            (false, Some(end), _) => format!("until {end}"),
            (false, None, _) => "no end".to_owned(),
        };
        print(format!("{}  {role:<36} {end:<32} {}", token.id, plain(&token.label)))?;
    }
    Ok(())
}

/// Who bears a token of this role, in words.
pub(super) fn bearer(role: &Role) -> String {
    match role {
        Role::Administrator => "administrator".to_owned(),
        Role::Auditor => "auditor".to_owned(),
        Role::Agent(key) => format!("agent {key}"),
        Role::Customer(id) => format!("customer {id}"),
    }
}
