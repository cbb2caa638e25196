//! `docket token`.

use std::sync::Arc;

use anyhow::bail;
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
use crate::{
    clock::SystemClock,
    engine::{Principal, is_here},
};

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
    /// Configures the desk, makes tokens, and may do everything that an agent may.
    Administrator,
    /// An agent who works on the tickets of every queue and sees all figures (--agent).
    Supervisor,
    /// Works on the tickets of the agent's queues (--agent).
    Agent,
    /// Reads the tickets of the agent's queues and adds notes (--agent).
    LightAgent,
    /// Sees and writes to the own tickets (--customer).
    Customer,
    /// A customer who also sees the tickets of the own organisation (--customer).
    CustomerManager,
    /// Reads everything, changes nothing; what is read is on record.
    Auditor,
    /// A program that works on the tickets of every queue.
    Service,
}

impl RoleArg {
    /// The role, of the agent or the customer whom it needs and no other one.
    fn role(self, agent: Option<AgentKey>, customer: Option<CustomerId>) -> anyhow::Result<Role> {
        Ok(match (self, agent, customer) {
            (Self::Administrator, None, None) => Role::Administrator,
            (Self::Auditor, None, None) => Role::Auditor,
            (Self::Service, None, None) => Role::Service,
            (Self::Supervisor, Some(agent), None) => Role::Supervisor(agent),
            (Self::Agent, Some(agent), None) => Role::Agent(agent),
            (Self::LightAgent, Some(agent), None) => Role::LightAgent(agent),
            (Self::Customer, None, Some(customer)) => Role::Customer(customer),
            (Self::CustomerManager, None, Some(customer)) => Role::CustomerManager(customer),
            (Self::Supervisor | Self::Agent | Self::LightAgent, None, _) => bail!("name the agent with --agent"),
            (Self::Customer | Self::CustomerManager, _, None) => bail!("name the customer with --customer"),
            _ => bail!(
                "--agent goes with the roles supervisor, agent and light-agent, --customer with customer and \
                 customer-manager, and neither with the others"
            ),
        })
    }
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
    let role = args.role.role(args.agent.clone(), args.customer)?;
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
        let end = match (token.revoked, token.expires_at) {
            (true, _) => "revoked".to_owned(),
            (false, _) if !is_here(&token.role, token.issued, &views) => "the agent has left".to_owned(),
            (false, Some(end)) => format!("until {end}"),
            (false, None) => "no end".to_owned(),
        };
        print(format!("{}  {role:<36} {end:<32} {}", token.id, plain(&token.label)))?;
    }
    Ok(())
}

/// Who bears a token of this role, in words.
pub(super) fn bearer(role: &Role) -> String {
    match (role.agent(), role.customer()) {
        (Some(agent), _) => format!("{} {agent}", role.name()),
        (None, Some(customer)) => format!("{} {customer}", role.name()),
        (None, None) => role.name().to_owned(),
    }
}
