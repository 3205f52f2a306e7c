#[derive(Default)]
pub(crate) struct Logs;
