#[derive(Default)]
pub(crate) struct Sources;
