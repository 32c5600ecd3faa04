package celeriac;

import com.geneea.celery.CeleryClientCore;
import com.geneea.celery.backends.rabbit.RabbitBackendFactory;
import com.geneea.celery.brokers.rabbit.RabbitBrokerFactory;
import com.geneea.celery.spi.BackendFactory;
import com.geneea.celery.spi.Broker;
import com.geneea.celery.spi.BrokerFactory;
import com.geneea.celery.spi.Message;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The client as it is, but for one thing: a caller is told a future and not the id of the task, so
 * that the id is read as it is set on the message.
 */
final class Client extends CeleryClientCore {
  private static final Set<Class<?>> WATCHED =
      Set.of(BrokerFactory.class, Broker.class, Message.class, Message.Headers.class);

  private String lastId;

  Client(String brokerUrl, String backendUrl, String queue) {
    super(brokerUrl, backendUrl, queue, daemons(), null);
  }

  /** The id of the task that was submitted last. */
  String lastId() {
    return lastId;
  }

  @Override
  protected Iterable<BrokerFactory> findBrokers() {
    return List.of(watched(BrokerFactory.class, new RabbitBrokerFactory()));
  }

  @Override
  protected Iterable<BackendFactory> findBackends() {
    return List.of(new RabbitBackendFactory());
  }

  /** Passes every call on, and keeps the id among what is set. */
  private <T> T watched(Class<T> type, Object target) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (proxy, method, args) -> {
              if (method.getName().equals("setId")) {
                lastId = (String) args[0];
              }
              try {
                Object answer = method.invoke(target, args);
                Class<?> returned = method.getReturnType();
                return WATCHED.contains(returned) ? watched(returned, answer) : answer;
              } catch (InvocationTargetException error) {
                throw error.getCause();
              }
            }));
  }

  /** Its own threads would keep the process alive. */
  private static ExecutorService daemons() {
    return Executors.newCachedThreadPool(
        work -> {
          Thread thread = new Thread(work);
          thread.setDaemon(true);
          return thread;
        });
  }
}
