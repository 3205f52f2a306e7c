//! The link's one task: performs what the session decides, and tells the rooms.
use super::address::Address;
use super::call::{Client, Task, Transport};
use super::dial::{Dial, Target};
use super::oauth::Login;
use super::session::{Action, Event, Session};
use super::stream::{Connection, Either, race};
use super::{Lost, Settings, grant, wire};
use crate::proto::{ConvertInviteTokenRequest, EntrypointConfigRequest, EntrypointConfigResponse};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::codec::Streaming;

/// What is queued may leave for so long when the link is closed, and a room still holds on to it.
const GOODBYE: Duration = Duration::from_millis(250);
/// A server that sent one keepalive sends one every 5 s; after so much silence it hangs.
const SILENCE: Duration = Duration::from_secs(20);

/// Where the rooms hear of it, and from whom the end comes.
pub(super) struct Told {
    pub(super) config_to: watch::Sender<Option<Arc<wire::Config>>>,
    pub(super) connection_to: watch::Sender<Option<Connection>>,
    pub(super) closing: mpsc::Receiver<oneshot::Sender<()>>,
}

struct Link {
    settings: Settings,
    dialler: Arc<dyn Dial>,
    config_to: watch::Sender<Option<Arc<wire::Config>>>,
    connection_to: watch::Sender<Option<Connection>>,
    /// Survives a connection; the session says when it is exchanged anew.
    login: Option<Login>,
    transport: Option<Transport>,
    configs: Option<Configs>,
    /// Renews the OAuth2 access token of the connection.
    renewal: Option<Task<()>>,
    keepalives: bool,
}

/// Runs until closed, or until nobody holds a handle any more.
pub(super) async fn run(settings: Settings, dialler: Arc<dyn Dial>, told: Told) {
    let Told { config_to, connection_to, mut closing } = told;
    let mut session = Session::new(!settings.token.is_empty(), settings.tls);
    let mut link = Link {
        settings,
        dialler,
        config_to,
        connection_to,
        login: None,
        transport: None,
        configs: None,
        renewal: None,
        keepalives: false,
    };
    let mut event = Event::Due;
    loop {
        if let Event::Failed(lost) = &event {
            tracing::warn!("link to {}: {lost}", link.settings.server);
        }
        let action = session.on(event, Instant::now().into_std(), random());
        if let Action::Wait(wait) = action {
            tracing::debug!("link to {}: next attempt in {wait:.1?}", link.settings.server);
        }
        let outcome = {
            let performed = pin!(link.perform(action));
            race(pin!(closing.recv()), performed).await
        };
        match outcome {
            Either::Right(next) => event = next,
            Either::Left(done) => {
                link.close().await;
                // Nobody waits if it was only the last handle that went.
                let _ = done.map(|it| it.send(()));
                return;
            }
        }
    }
}

impl Link {
    async fn perform(&mut self, action: Action) -> Event {
        let acted = match action.limit() {
            Some(limit) => timeout(limit, self.act(action)).await.unwrap_or_else(|_| {
                Err(Lost::deadline(format!("{} took longer than {limit:?}", action.describe())))
            }),
            None => self.act(action).await,
        };
        acted.unwrap_or_else(Event::Failed)
    }

    async fn act(&mut self, action: Action) -> Result<Event, Lost> {
        match action {
            Action::Wait(wait) => {
                self.disconnect();
                sleep(wait).await;
                Ok(Event::Due)
            }
            Action::Dial => self.dial().await,
            Action::Convert => self.convert().await,
            Action::Grant => self.grant().await,
            Action::AskVersion => self.ask_version().await,
            Action::Register => self.register().await,
            Action::Serve => Err(self.serve().await),
        }
    }

    async fn dial(&mut self) -> Result<Event, Lost> {
        let server = &self.settings.server;
        let address = Address::parse_server(server)
            .ok_or_else(|| Lost::unavailable(format!("{server:?} is no host:port")))?;
        let target = Target { address, tls: self.settings.tls, protocol: b"h2" };
        let io = self.dialler.dial(&target).await?;
        self.transport = Some(Transport::open(io, &target).await?);
        Ok(Event::Connected)
    }

    async fn convert(&mut self) -> Result<Event, Lost> {
        let request = ConvertInviteTokenRequest { token: self.settings.token.clone() };
        let response = self.client()?.convert_invite_token(request).await?.into_inner();
        let login = Login::read(response.token);
        let oauth = login.oauth.is_some();
        self.login = Some(login);
        Ok(Event::Converted { oauth })
    }

    /// The first access token; later ones come by themselves while the connection lasts.
    async fn grant(&mut self) -> Result<Event, Lost> {
        let (Some(login), Some(transport)) = (self.login.clone(), &self.transport) else {
            return Err(Lost::unavailable("there is no token with OAuth2 credentials"));
        };
        let credentials = transport.credentials().clone();
        let access = grant::obtain(&*self.dialler, &login).await?;
        credentials.set(&login.token, Some(&access.authorization))?;
        let renewing = grant::renew(self.dialler.clone(), login, access, credentials);
        self.renewal = Some(Task(tokio::spawn(renewing)));
        Ok(Event::Granted)
    }

    async fn ask_version(&mut self) -> Result<Event, Lost> {
        if let (Some(login), Some(transport)) = (&self.login, &self.transport)
            && login.oauth.is_none()
        {
            transport.credentials().set(&login.token, None)?;
        }
        let info = self.client()?.get_version_info(()).await?.into_inner();
        self.keepalives = wire::takes_keepalives(&info);
        let (minimum, current) = wire::entrypoint_protocol(&info);
        Ok(Event::Version { minimum, current })
    }

    async fn register(&mut self) -> Result<Event, Lost> {
        let mut client = self.client()?;
        let request = EntrypointConfigRequest {
            deployment_id: self.settings.deployment_id.clone(),
            instance_id: self.settings.instance_id.clone(),
            disable_exec: self.settings.disable_exec,
            ..Default::default() // LONG_RUNNING
        };
        let stream = client.entrypoint_config(request).await?.into_inner();
        let mut configs = Configs { stream, alive: false };
        let first = configs.next().await?;
        self.configs = Some(configs);
        self.config_to.send_replace(Some(Arc::new(first)));
        let connection = Connection::new(client, &self.settings.instance_id, self.keepalives);
        self.connection_to.send_replace(Some(connection));
        tracing::info!("linked to {}", self.settings.server);
        Ok(Event::Configured)
    }

    /// Passes configs on until there are no more, and says why.
    async fn serve(&mut self) -> Lost {
        let Some(configs) = &mut self.configs else {
            return Lost::unavailable("there is no config stream");
        };
        loop {
            match configs.next().await {
                Ok(config) => self.config_to.send_replace(Some(Arc::new(config))),
                Err(lost) => return lost,
            };
        }
    }

    /// Takes the connection and every stream on it down.
    fn disconnect(&mut self) {
        self.connection_to.send_if_modified(|it| it.take().is_some());
        self.configs = None;
        self.renewal = None;
        self.transport = None;
    }

    async fn close(&mut self) {
        let transport = self.transport.take();
        self.disconnect();
        if let Some(transport) = transport {
            transport.close(GOODBYE).await;
        }
    }

    fn client(&self) -> Result<Client, Lost> {
        let transport = self.transport.as_ref();
        transport.map(Transport::client).ok_or_else(|| Lost::unavailable("there is no connection"))
    }
}

/// The config stream: snapshots, and between them signs of life.
struct Configs {
    stream: Streaming<EntrypointConfigResponse>,
    /// It has shown that it sends keepalives, so their absence says something.
    alive: bool,
}

impl Configs {
    /// The next snapshot. Every end is an error here, the clean one too.
    async fn next(&mut self) -> Result<wire::Config, Lost> {
        loop {
            let message = if self.alive {
                timeout(SILENCE, self.stream.message())
                    .await
                    .map_err(|_| Lost::unavailable("the config stream has been silent for 20 s"))?
            } else {
                self.stream.message().await
            };
            let response =
                message?.ok_or_else(|| Lost::unavailable("the server ended the config stream"))?;
            match wire::config(response) {
                Some(config) => return Ok(config),
                None => self.alive = true,
            }
        }
    }
}

/// Spreads attempts, and needs no more than that: SipHash of nothing under the thread's random key.
pub(super) fn random() -> u32 {
    let number = RandomState::new().build_hasher().finish();
    (number >> 32) as u32
}
