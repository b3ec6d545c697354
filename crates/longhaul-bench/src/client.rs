//! A lean HTTP client, which leaves the cores to what is measured.

use std::io::Write;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// A keep-alive connection that knows just enough HTTP/1.1 to ask and to find the end of the answer.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    host: SocketAddr,
    request: Vec<u8>,
    answer: Vec<u8>,
    body_at: usize,
}

/// The content of a request.
pub(crate) struct Content<'a> {
    pub(crate) kind: &'a str,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Content<'a> {
    pub(crate) fn json(text: &'a str) -> Self {
        Self { kind: "application/json", bytes: text.as_bytes() }
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: address, request: Vec::new(), answer: Vec::with_capacity(4096), body_at: 0 })
    }

    /// Posts, reads all of the answer, and returns its status.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        token: Option<&str>,
        content: Content<'_>,
    ) -> Result<u16> {
        self.send("POST", path, token, Some(content)).await
    }

    pub(crate) async fn get(&mut self, path: &str, token: Option<&str>) -> Result<u16> {
        self.send("GET", path, token, None).await
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.answer[self.body_at..]
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        content: Option<Content<'_>>,
    ) -> Result<u16> {
        self.request.clear();
        write!(self.request, "{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host)?;
        if let Some(token) = token {
            write!(self.request, "authorization: Bearer {token}\r\n")?;
        }
        if let Some(Content { kind, bytes }) = &content {
            write!(self.request, "content-type: {kind}\r\ncontent-length: {}\r\n", bytes.len())?;
        }
        self.request.extend_from_slice(b"\r\n");
        if let Some(content) = content {
            self.request.extend_from_slice(content.bytes);
        }
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("failed to read an answer: the server closed the connection".into());
            }
            if let Some(answer) = Answer::parse(&self.answer)?
                && self.answer.len() >= answer.length
            {
                self.body_at = answer.body_at;
                return Ok(answer.status);
            }
        }
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body_at: usize,
    /// Of head and body together.
    length: usize,
}

impl Answer {
    /// `None` while the head is not complete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&bytes[..end])?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.ok_or("failed to read an answer: no status line")?;
        let mut headers = lines.filter_map(|line| line.split_once(':'));
        let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|(_, value)| value.trim().parse::<usize>().ok());
        let length = length.ok_or("failed to read an answer: it does not say how long it is")?;
        let body_at = end + 4;
        Ok(Some(Self { status, body_at, length: body_at + length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let head = "HTTP/1.1 202 Accepted\r\nlocation: /x\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(Answer::parse(b"HTTP/1.1 202 Acc").unwrap(), None);
        let expected = Answer { status: 202, body_at: head.len(), length: head.len() + 5 };
        assert_eq!(Answer::parse(format!("{head}ab").as_bytes()).unwrap(), Some(expected));
        let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(Answer::parse(endless).unwrap_err().to_string().contains("how long"));
    }
}
