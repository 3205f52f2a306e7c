#[derive(Default)]
pub(crate) struct Variables;
